"""Kills a pretraining run at random moments and resumes it until it is done."""

import multiprocessing
import random
import shutil
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
from pretrain_run import argv

from pico_maml.recipes.arguments.parser import run as command_line
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers.runs.files import RESULTS_FILE, UNFINISHED
from pico_maml.trainers.runs.json_files import read_json

PATIENCE = 120.0


@dataclass
class Tally:
    """How a run was killed, and how many attempts had to be killed because they hung."""

    kills: int = 0
    while_saving: int = 0
    before_the_first_checkpoint: int = 0
    one_of_several: int = 0
    hangs: int = 0


def attempt(arguments: list[str]) -> None:
    """One process of a run."""
    multiprocessing.set_start_method("fork", force=True)  # for data workers, as in a process of the command line
    command_line(lambda: pretrain.main(arguments))


def ended(children: list[BaseProcess]) -> bool:
    """Wait for the end of all; False if one hung and had to be killed."""
    deadline = time.monotonic() + PATIENCE
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
    hung = [child for child in children if child.is_alive()]
    for child in hung:
        forked.kill(child)
        child.join()
    return not hung


def run_whole(folder: Path, corpus: str, processes: int, options: dict) -> float:
    """Train without a kill; returns the seconds it took."""
    forked.run(int, log=folder.with_suffix(".log"))  # the server's imports do not count
    begin = time.monotonic()
    log = folder.with_suffix(".log")
    children = forked.start(attempt, argv(folder, corpus, **options), log=log, processes=processes)
    assert ended(children), log.read_text()
    assert finished(folder), log.read_text()
    return time.monotonic() - begin


def run_killed(folder: Path, corpus: str, processes: int, options: dict, kills: int, seconds: float) -> Tally:
    """Train with `kills` kills within the first `seconds` of an attempt, every other one during a save."""
    tally, moments, log = Tally(), random.Random(0), folder.with_suffix(".log")
    while not finished(folder):
        began = time.time_ns()
        arguments = argv(folder, corpus, **options, resume=True)
        children = forked.start(attempt, arguments, log=log, processes=processes)
        if tally.kills == kills:
            tally.hangs += not ended(children)
            assert finished(folder), log.read_text()[-6000:]
            break
        wait_for_the_moment(folder, began, seconds, moments, while_saving=tally.kills % 2 == 1)
        while_saving, first = saving_since(folder) > began, not any(folder.glob("checkpoint-*"))
        only_one = processes > 1 and moments.random() < 0.5
        for child in [moments.choice(children)] if only_one else children:
            forked.kill(child)  # if it was one of several, the others notice
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
