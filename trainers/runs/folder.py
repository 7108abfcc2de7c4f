"""The folder of a run: never written over, and resumed only as what it is."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from .checkpoints import UNFINISHED, newest
from .claim import acquire, read

logger = logging.getLogger(__name__)

RESULTS_FILE = "results.json"
ARGUMENTS_FILE = "arguments.json"
CLAIM_FILE = ".running"
CLAIM_SECONDS = 60
# What may differ when a run goes on: where it ends, how often it speaks, and on which machine it runs.
FREE_ON_RESUME = {
    "max_steps",
    "resume",
    "resume_from",
    "output_dir",
    "console",
    "disable_tqdm",
    "dynamics_steps",
    "report_to",
    "run_name",
    "eval_episodes",
    "eval_blocks",
    "eval_steps",
    "per_device_eval_batch_size",
    "per_device_train_batch_size",  # times processes: the trainer compares the product
    "logging_steps",
    "save_steps",
    "save_total_limit",
    "num_workers",
    "dataloader_num_workers",
    "use_cpu",
}


def save_json(path: Path, content: dict[str, Any], indent: int | None = 2) -> None:
    """Write a JSON file for people and programs to read, or in one line (`indent` None): whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=indent) + "\n")
    temporary.replace(path)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that a run needs to go on.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{path} is missing or damaged, without which the run cannot go on: put it back") from error


@contextmanager
def claimed(folder: Path, is_main_process: bool) -> Iterator[None]:
    """The folder belongs to this run alone; one that was made for it and stayed empty is removed again.

    Args:
        folder: of the run.
        is_main_process: of several processes the main one makes the claim.

    Raises:
        InputError: another living run has it, or it is a file.
    """
    if not is_main_process:
        yield
        return
    if folder.is_file():
        raise InputError(f"{folder} is a file: choose another output_dir")
    new = not folder.exists()
    claim = acquire(folder / CLAIM_FILE, CLAIM_SECONDS)
    if claim is None:
        host, process, *_ = (read(folder / CLAIM_FILE) or "another machine, ?").split()
        raise InputError(
            f"{folder} belongs to a run that is going on (process {process} on {host}): wait for its end, or stop it; "
            f"that of a machine that died is free {CLAIM_SECONDS} s after its last sign of life"
        )
    try:
        with claim:
            clear_leftovers(folder)
            yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed run had half written."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for name in (RESULTS_FILE, ARGUMENTS_FILE):
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def check_free(folder: Path) -> None:
    """Make sure that nothing is written over.

    Raises:
        InputError: the folder holds something, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(path.name != CLAIM_FILE for path in folder.iterdir())):
        raise InputError(f"{folder} is not empty: choose another output_dir (or, in pretraining, go on with --resume)")


def checkpoint_to_resume(folder: Path, hashes: bool) -> Path | None:
    """The newest whole checkpoint of a run; None where the run was stopped before it saved any.

    Args:
        folder: of the run.
        hashes: read every file of it (one process is enough).

    Raises:
        InputError: there is no run, or all its checkpoints are damaged.
    """
    checkpoint = newest(folder, hashes)
    if checkpoint is not None:
        return checkpoint
    damaged = sorted(path.name for path in folder.glob("checkpoint-*"))
    if damaged:
        raise InputError(
            f"nothing to resume in {folder}, every checkpoint is damaged ({', '.join(damaged)}): begin a new run in "
            f"another output_dir, from the weights of one if they still load: --init_from {folder / damaged[-1]}"
        )
    if not (folder / ARGUMENTS_FILE).exists():
        raise InputError(f"nothing to resume in {folder}: no run was started there")
    return None


def check_same_run(folder: Path, arguments: dict[str, Any], step: int) -> None:
    """Make sure that a resumed run goes on as it began.

    Args:
        folder: of the run.
        arguments: those given now.
        step: of the checkpoint.

    Raises:
        InputError: the run is finished, or arguments differ that change what it is (names each with both values).
    """
    results = folder / RESULTS_FILE  # written last of all
    if step >= arguments["max_steps"] > 0 and results.exists() and load_json(results).get("steps", 0) >= step:
        raise InputError(f"{folder} is finished: step {step} of {arguments['max_steps']}; to go on raise max_steps")
    before = load_json(folder / ARGUMENTS_FILE)
    now = json.loads(json.dumps(arguments))
    if before["max_steps"] != now["max_steps"]:
        logger.warning(
            "max_steps %s -> %s: the schedule of the learning rate now ends elsewhere, so this is not the run that %s "
            "steps from the start would have been",
            before["max_steps"],
            now["max_steps"],
            now["max_steps"],
        )
    changed = [name for name in before if name not in FREE_ON_RESUME and before[name] != now.get(name)]
    if changed:
        differences = ", ".join(f"{name} {before[name]} -> {now.get(name)}" for name in sorted(changed))
        raise InputError(f"{folder} was started with other arguments: {differences}; give the same ones to resume")
