"""A run's folder: claimed by one process, started empty, resumed with the same arguments."""

import json
import logging
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from .checkpoints import newest
from .claim import Claim, acquire, read
from .files import (
    ARGUMENTS_FILE,
    CLAIM_FILE,
    CLASSES_FILE,
    CLASSES_RECORD_FILE,
    DOWNLOAD_FOLDER,
    DYNAMICS_FILE,
    METRICS_FILE,
    RESULTS_FILE,
    UNFINISHED,
)
from .json_files import read_json
from .whole_file import delete_unfinished

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 60
# A resumed run may change where it ends, how often it logs, and the machine it runs on.
FREE_ON_RESUME = {
    "max_steps",
    "resume",
    "resume_from",
    "output_dir",
    "other_corpus",
    "corpus_hash",  # compared by `recipes/pretrain/start.py`
    "console",
    "disable_tqdm",
    "dynamics_steps",
    "report_to",
    "run_name",
    "eval_episodes",
    "eval_blocks",
    "eval_texts",
    "eval_steps",
    "per_device_eval_batch_size",
    "per_device_train_batch_size",  # the trainer compares its product with the number of processes
    "logging_steps",
    "save_schedule",
    "save_steps",
    "save_total_limit",
    "num_workers",
    "dataloader_num_workers",
    "use_cpu",
}
# What earlier versions did, which had no such argument.
EARLIER = {"held_out_rule": "id", "episode_documents": "any", "split_by": "row"}


@contextmanager
def claimed(folder: Path, is_main_process: bool = True) -> Iterator[Claim | None]:
    """Hold the claim on a run's folder, and remove a new folder that stayed empty; None on other processes.

    Raises InputError if a living run has the claim, or nothing can be written there.
    """
    if not is_main_process:
        yield None
        return
    if folder.is_file():
        raise InputError(f"{folder} is a file: choose another output_dir")
    new = not folder.exists()
    try:
        claim = acquire(folder / CLAIM_FILE, CLAIM_SECONDS, wait=True)
    except OSError as error:
        raise InputError(f"cannot write in {folder} ({error.strerror}): choose another output_dir") from error
    if claim is None:
        host, process, *_ = (read(folder / CLAIM_FILE) or "another machine, ?").split()
        raise InputError(
            f"{folder} is in use by another run (process {process} on {host}): wait for it or stop it, or choose "
            "another output_dir"
        )
    try:
        with claim:
            delete_leftovers(folder)
            yield claim
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def delete_leftovers(folder: Path) -> None:
    """Delete files that a killed run left half written."""
    for name in (UNFINISHED, DOWNLOAD_FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (ARGUMENTS_FILE, METRICS_FILE, DYNAMICS_FILE, RESULTS_FILE, CLASSES_FILE, CLASSES_RECORD_FILE):
        delete_unfinished(folder / name)


def check_free(folder: Path) -> None:
    """Raise InputError unless the folder is absent or holds nothing but a claim."""
    if folder.is_file() or (folder.is_dir() and any(path.name != CLAIM_FILE for path in folder.iterdir())):
        raise InputError(
            f"{folder} is not empty: choose another output_dir (or, if it is a pretraining run, go on with --resume)"
        )


def has_run(folder: Path) -> bool:
    """True if a run was started in the folder, False if it is free; raise InputError if it holds other files."""
    if (folder / ARGUMENTS_FILE).exists() or any(folder.glob("checkpoint-*")):
        return True
    check_free(folder)
    return False


def checkpoint_to_resume(folder: Path, hashes: bool) -> Path | None:
    """The newest undamaged checkpoint of a run, None before the first; raise InputError if all are damaged."""
    if checkpoint := newest(folder, hashes):
        return checkpoint
    if damaged := sorted(path.name for path in folder.glob("checkpoint-*")):
        raise InputError(
            f"nothing to resume in {folder}: every checkpoint is damaged ({', '.join(damaged)}); start a new run in "
            f"another output_dir, from the weights of one if they still load: --init_from {folder / damaged[-1]}"
        )
    return None


def earlier_values(folder: Path) -> dict[str, Any]:
    """Return and log the values of arguments that the run in the folder did not record: what its version did."""
    recorded = read_json(folder / ARGUMENTS_FILE)
    values = {name: value for name, value in EARLIER.items() if name not in recorded}
    for name, value in values.items():
        logger.warning(f"{folder} was started by an earlier version: it goes on with {name} {value}")
    return values


def check_same_run(folder: Path, arguments: dict[str, Any], step: int) -> None:
    """Raise InputError if the run is finished at this step, or if arguments that decide its results differ."""
    results, last = folder / RESULTS_FILE, arguments["max_steps"]
    if step >= last > 0 and results.exists() and read_json(results).get("steps", 0) >= step:
        raise InputError(f"{folder} is finished: step {step} of {last}; to continue raise max_steps")
    before = read_json(folder / ARGUMENTS_FILE)
    if before["max_steps"] != last and not arguments.get("lr_schedule_steps"):
        logger.warning(
            f"max_steps {before['max_steps']} -> {last}: the learning-rate schedule now ends at another step, so the "
            f"result differs from a run of {last} steps from the start"
        )
    check_same_arguments(folder, before, arguments, FREE_ON_RESUME, "resume with the same")


def check_free_or_same(
    folder: Path, arguments: dict[str, Any], free: Container[str], file: str = ARGUMENTS_FILE
) -> None:
    """Raise InputError unless the folder is free, or work in it was started with the same arguments.

    `file` holds the arguments that it was started with; those named in `free` may differ.
    """
    if (folder / file).exists():
        remedy = "give the same to continue there, or choose another output_dir"
        check_same_arguments(folder, read_json(folder / file), arguments, free, remedy)
    else:
        check_free(folder)


def check_same_arguments(
    folder: Path, before: dict[str, Any], now: dict[str, Any], free: Container[str], remedy: str
) -> None:
    """Raise InputError with both values of all arguments that differ and are not `free`; `remedy` ends the message.

    Arguments that `before` lacks belong to a later version and are not compared; those that `now` lacks, as in the
    folder of another command, differ.
    """
    now = json.loads(json.dumps(now))
    changed = sorted(name for name in before if name not in free and before[name] != now.get(name))
    if changed:
        pairs = [f"{name} {before[name]} -> {now.get(name)}" for name in changed]
        more = f" and {len(pairs) - 8} more" if len(pairs) > 8 else ""
        raise InputError(f"{folder} was started with other arguments: {', '.join(pairs[:8])}{more}; {remedy}")
