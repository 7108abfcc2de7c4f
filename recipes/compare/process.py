"""Run a command of this package in a process of its own, so that its end, however it ends, is an ordinary result."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from ...trainers.runs.safety import PREEMPTED_CODE

LAST_LINES = 5
# For a command that is told to end to save what it has.
GRACE_SECONDS = 30


class CommandFailed(RuntimeError):
    """A command ended with another exit code than 0; the message has its `last` lines."""

    def __init__(self, name: str, code: int, last: str, log: Path) -> None:
        super().__init__(f"{name} ended with exit code {code}: {last} (all in {log})")
        self.last = last


def end_orphan(log: Path) -> None:
    """End the command that goes on although the worker that started it, with this log, was killed."""
    file = _process_file(log)
    if not file.exists():
        return
    host, pid, started = file.read_text().split()
    if host == socket.gethostname():
        try:
            process = psutil.Process(int(pid))
            # A later process may have been given the same number.
            if process.create_time() == float(started):
                end(process, GRACE_SECONDS)
        except psutil.NoSuchProcess:
            pass
    file.unlink()


def end(process: psutil.Process, grace: float) -> None:
    """Tell a process to end, give it `grace` seconds to save, and kill what is left of it and its children."""
    tree = [*process.children(recursive=True), process]
    process.terminate()
    _, tree = psutil.wait_procs(tree, timeout=grace)
    for member in tree:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(tree)


def record(pid: int, log: Path) -> None:
    """Write which process works with a log, for `end_orphan`."""
    started = psutil.Process(pid).create_time()
    _process_file(log).write_text(f"{socket.gethostname()} {pid} {started!r}")


def _process_file(log: Path) -> Path:
    return log.with_suffix(".process")


def run_command(name: str, argv: list[str], log: Path, processes: int = 1) -> None:
    """Run `name` and append its output to a log; several processes are started by accelerate.

    If this process is told to end, so is the command, which then has 30 s to save.

    Raises:
        CommandFailed: it did not end well.
    """
    starter = [] if processes == 1 else ["-m", "accelerate.commands.launch", "--num_processes", str(processes)]
    line = [sys.executable, *starter, "-m", f"pico_maml.recipes.{name}", *argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // processes))}
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {name} {' '.join(argv)}\n")
        file.flush()
        with subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT, env=os.environ | threads) as process:
            try:
                record(process.pid, log)
                code = process.wait()
            except BaseException:
                with suppress(psutil.NoSuchProcess):
                    end(psutil.Process(process.pid), GRACE_SECONDS)
                raise
    _process_file(log).unlink(missing_ok=True)
    if code == PREEMPTED_CODE:  # it alone was told to end, and has saved
        return run_command(name, argv, log, processes)
    if code:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise CommandFailed(name, code, " | ".join(lines[-LAST_LINES:]), log)
