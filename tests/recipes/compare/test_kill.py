"""A study whose process is killed in the middle of a run."""

import json
import shutil
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import psutil
import pytest

from pico_maml.recipes.compare import command
from pico_maml.recipes.compare import process as own_process
from pico_maml.recipes.compare.process import end, end_orphan, record
from pico_maml.trainers.runs.safety import PREEMPTED_CODE

STUDY = [
    *("--seeds", "1"),
    *("--budget", "tokens"),
    *("--measures", '{"loss": 0.01}'),
    *("--arguments", '{"max_steps": 120, "eval_steps": 60, "save_steps": 10, "dynamics_steps": 0}'),
    *("--arms", '{"episodes": {}, "vanilla": {"arguments": {"hybrid_ratio": 0}, "control": "episodes"}}'),
    *("--primary", "vanilla vs episodes: loss"),
    *("--adaptation", "{}"),
    *("--ner", "{}"),
    *("--few_shot", "{}"),
]
FOLDERS = ("killed", "out")


def wait_for(path: Path, pattern: str, process: BaseProcess, log: Path) -> None:
    for _ in range(6000):
        if any(path.glob(pattern)):
            return
        assert process.is_alive(), log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} in {path}")


def first_logs(run: Path) -> list[str]:
    return (run / "metrics.jsonl").read_text().splitlines()[:5]


def test_a_study_killed_in_the_middle_of_a_run_goes_on_to_the_same_results(argv, commands, monkeypatch):
    study = [*argv[:2], *STUDY, "--output_dir"]
    command.main([*study, "out", "--dry_run"])
    shutil.copytree("out", "killed")

    log = Path("killed.log")
    (process,) = forked.start(command.main, [*study, "killed"], log=log)
    run = Path("killed/runs/episodes-1")
    wait_for(run, "checkpoint-*", process, log)
    host_and_pid = Path("killed/logs/episodes-1.process").read_text()
    process.kill()
    process.join()
    before = first_logs(run)
    assert psutil.pid_exists(int(host_and_pid.split()[1])), "the run itself goes on"
    assert not list(Path("killed/results").glob("*"))

    command.main([*study, "killed"])
    command.main([*study, "out"])
    assert not psutil.pid_exists(int(host_and_pid.split()[1]))
    assert first_logs(run) == before, "the run was resumed: one from the start would log other seconds"
    for name in ("episodes-1", "vanilla-1"):
        with_kill, without = (json.loads(Path(folder, "results", f"{name}.json").read_text()) for folder in FOLDERS)
        assert with_kill["values"] == pytest.approx(without["values"], rel=1e-6)
        assert with_kill["steps"] == without["steps"] == 120


def test_a_later_process_with_the_number_of_an_orphan_lives_on(tmp_path):
    log, file = tmp_path / "x.log", tmp_path / "x.process"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        record(process.pid, log)
        host, pid, started = file.read_text().split()
        file.write_text(f"{host} {pid} {float(started) - 100}")
        end_orphan(log)
        assert process.poll() is None
        assert not file.exists()
        record(process.pid, log)
        end_orphan(log)
        assert not psutil.pid_exists(process.pid)


def test_a_command_that_is_told_to_end_may_save_first_and_its_children_end_with_it(tmp_path):
    saves = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
def save(*_):
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit()
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1], "child").write_text(str(child.pid))
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", saves, str(tmp_path)]) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        end(psutil.Process(process.pid), grace=2)
    assert (tmp_path / "saved").exists()
    assert not psutil.pid_exists(int((tmp_path / "child").read_text()))


def test_a_command_that_was_told_to_end_alone_goes_on(tmp_path, monkeypatch):
    log, ran = tmp_path / "x.log", []

    class Ended(subprocess.Popen):
        def __init__(self, line, **options):
            ran.append(line)
            code = PREEMPTED_CODE if len(ran) == 1 else 0
            super().__init__([sys.executable, "-c", f"raise SystemExit({code})"], **options)

    monkeypatch.setattr(own_process.subprocess, "Popen", Ended)
    own_process.run_command("pretrain", ["--resume"], log)
    assert len(ran) == 2
