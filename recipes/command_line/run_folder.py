"""The folder of a run: never written over, and resumed only as what it is."""

import json
import os
from pathlib import Path
from typing import Any

from ...trainers import InputError

RESULTS_FILE = "results.json"
ARGUMENTS_FILE = "arguments.json"
# A checkpoint without one of these was cut off while it was saved.
CHECKPOINT_FILES = (
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "maml_state.safetensors",
    "trainer_state.json",
)
# What may differ when a run goes on: where it ends, how often it speaks, and on which machine it runs.
FREE_ON_RESUME = {
    "max_steps",
    "resume",
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


def check_free(folder: Path) -> None:
    """Make sure that nothing is written over.

    Raises:
        InputError: the folder holds something, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: choose another output_dir (or, in pretraining, go on with --resume)")


def newest_checkpoint(folder: Path) -> Path:
    """The newest whole checkpoint of a run; one that was cut off while saving is passed over.

    Raises:
        InputError: there is none.
    """
    numbered = {int(p.name.split("-")[1]): p for p in folder.glob("checkpoint-*") if p.name.split("-")[1].isdigit()}
    for _, path in sorted(numbered.items(), reverse=True):
        missing = [name for name in CHECKPOINT_FILES if not (path / name).exists()]
        if not missing:
            return path
        print(f"{path} is passed over: {', '.join(missing)} missing")
    raise InputError(f"nothing to resume in {folder}: no whole folder checkpoint-N there")


def check_same_run(folder: Path, arguments: dict[str, Any], step: int) -> None:
    """Make sure that a resumed run goes on as it began.

    Args:
        folder: of the run.
        arguments: those given now.
        step: of the checkpoint.

    Raises:
        InputError: the run is finished, or arguments differ that change what it is (names each with both values).
    """
    if step >= arguments["max_steps"] > 0:
        raise InputError(f"{folder} is finished: step {step} of {arguments['max_steps']}; to go on raise max_steps")
    path = folder / ARGUMENTS_FILE
    if not path.exists():
        raise InputError(f"{path} is missing, which says how the run began: it cannot be resumed from here")
    before = json.loads(path.read_text())
    now = json.loads(json.dumps(arguments))
    changed = [name for name in before if name not in FREE_ON_RESUME and before[name] != now.get(name)]
    if changed:
        differences = ", ".join(f"{name} {before[name]} -> {now.get(name)}" for name in sorted(changed))
        raise InputError(f"{folder} was started with other arguments: {differences}; give the same ones to resume")
