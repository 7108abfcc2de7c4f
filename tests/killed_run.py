"""Kills a pretraining run at random moments and resumes it until it is done."""

import multiprocessing
import os
import random
import shutil
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from pretrain_run import argv

from pico_maml.recipes.arguments.parser import run as command_line
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers.runs.files import RESULTS_FILE, UNFINISHED
from pico_maml.trainers.runs.json_files import read_json

# Attempts are forked from a server that has imported the package, so that each takes no seconds to start.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pico_maml.recipes.pretrain.command"])
PATIENCE = 120.0


@dataclass
class Tally:
    """How a run was killed, and how many attempts had to be killed because they hung."""

    kills: int = 0
    while_saving: int = 0
    before_the_first_checkpoint: int = 0
    one_of_several: int = 0
    hangs: int = 0


def attempt(arguments: list[str], rank: int, processes: int, port: int, log: Path) -> None:
    """One process of a run; in a session of its own, so that its data workers can be killed with it."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # for data workers, as in a process of the command line
    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    command_line(lambda: pretrain.main(arguments))


def start(arguments: list[str], processes: int, log: Path) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = [
        CONTEXT.Process(target=attempt, args=(arguments, rank, processes, port, log)) for rank in range(processes)
    ]
    for child in children:
        child.start()
    return children


def kill(child: BaseProcess) -> None:
    """Kill a process and its data workers."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            end(child.pid, signal.SIGKILL)


def ended(children: list[BaseProcess]) -> bool:
    """Wait for the end of all; False if one hung and had to be killed."""
    deadline = time.monotonic() + PATIENCE
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
    hung = [child for child in children if child.is_alive()]
    for child in hung:
        kill(child)
        child.join()
    return not hung


def run_whole(folder: Path, corpus: str, processes: int, options: dict) -> float:
    """Train without a kill; returns the seconds it took."""
    warm = CONTEXT.Process(target=int)
    warm.start()
    warm.join()
    begin = time.monotonic()
    log = folder.with_suffix(".log")
    assert ended(start(argv(folder, corpus, **options), processes, log)), log.read_text()
    assert finished(folder), log.read_text()
    return time.monotonic() - begin


def run_killed(folder: Path, corpus: str, processes: int, options: dict, kills: int, seconds: float) -> Tally:
    """Train with `kills` kills within the first `seconds` of an attempt, every other one during a save."""
    tally, moments, log = Tally(), random.Random(0), folder.with_suffix(".log")
    while not finished(folder):
        began = time.time_ns()
        children = start(argv(folder, corpus, **options, resume=True), processes, log)
        if tally.kills == kills:
            tally.hangs += not ended(children)
            assert finished(folder), log.read_text()[-6000:]
            break
        wait_for_the_moment(folder, began, seconds, moments, while_saving=tally.kills % 2 == 1)
        while_saving, first = saving_since(folder) > began, not any(folder.glob("checkpoint-*"))
        only_one = processes > 1 and moments.random() < 0.5
        for child in [moments.choice(children)] if only_one else children:
            kill(child)  # if it was one of several, the others notice
        tally.hangs += not ended(children)
        if finished(folder):
            shutil.rmtree(folder)  # the kill came too late and does not count: once more from the start
            continue
        tally.kills += 1
        tally.while_saving += while_saving
        tally.before_the_first_checkpoint += first
        tally.one_of_several += only_one
    return tally


def wait_for_the_moment(folder: Path, began: int, seconds: float, moments: random.Random, while_saving: bool) -> None:
    """Sleep for a random share of `seconds`, or until a random one of the next saves begins."""
    if not while_saving:
        time.sleep(moments.uniform(0.1, 0.7) * seconds)
        return
    saves, seen = moments.randint(1, 5), set()
    while len(seen) < saves and time.time_ns() < began + seconds * 1e9:
        seen |= {since for since in [saving_since(folder)] if since > began}
        time.sleep(0.0005)
    time.sleep(moments.uniform(0, 0.03))


def finished(folder: Path) -> bool:
    results = folder / RESULTS_FILE
    return results.exists() and "steps" in read_json(results)


def saving_since(folder: Path) -> int:
    """When the save that is going on began, in nanoseconds; 0 if there is none."""
    try:
        return (folder / UNFINISHED).stat().st_ctime_ns
    except FileNotFoundError:
        return 0
