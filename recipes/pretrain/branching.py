"""A branch: a new run that goes on from a checkpoint of another, with other arguments."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...trainers import InputError
from ...trainers.cost import ARCHITECTURE
from ...trainers.runs.checkpoints import damages, numbered, read_seal, step_of
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import EARLIER, FREE_ON_RESUME
from ...trainers.runs.json_files import read_json
from ...trainers.word_classes.class_config import ClassConfig
from ..arguments.corpus import CorpusArguments
from .arguments import PretrainArguments

BRANCH = "branch"  #: in arguments.json: the step it begins at and what changed there
# What weights, optimizer and saved blocks have to fit, and what was held out from training.
KEPT = {"held_out_rule", "held_out_words", "block_size", "gradient_accumulation_steps"}
KEPT |= {"decay_all_weights", "matrix_optimizer", "optim", "n_way", "head_layers", "head_hidden_dim", "learn_inner_lr"}
KEPT |= {f.name for f in fields(ClassConfig)}
# Arguments of the corpus that change no text.
SAME_TEXT = {"eval_blocks", "eval_texts", "eval_sources", "eval_source_column", "num_workers", "block_size"}


def branch_point(args: PretrainArguments, saved: dict[str, Any], hashes: bool) -> Path:
    """The checkpoint that a branch begins at; `saved` arguments get a record of it under `branch`.

    Raises InputError if it is no whole checkpoint of a run, the branch would end before it, or arguments differ that
    its weights, optimizer or held-out words depend on.
    """
    checkpoint = Path(args.run.branch_from or "")
    if checkpoint not in numbered(checkpoint.parent).values() or not (checkpoint.parent / ARGUMENTS_FILE).exists():
        there = ", ".join(path.name for path in numbered(checkpoint).values())
        hint = f"it has {there}" if there else "name a folder checkpoint-N in the folder of a pretraining run"
        raise InputError(f"branch_from {str(checkpoint)!r} is no checkpoint of a run: {hint}")
    if damage := damages(checkpoint, hashes):
        raise InputError(f"branch_from {str(checkpoint)!r} is damaged: {'; '.join(damage)}; name an earlier one")
    step, last = step_of(checkpoint), args.training.max_steps
    if 0 < last <= step:
        raise InputError(f"max_steps is {last}, but {checkpoint} is of step {step}: raise max_steps")
    parent = {"mixture": None} | EARLIER | read_json(checkpoint.parent / ARGUMENTS_FILE)
    own = json.loads(json.dumps(saved))
    changed = {
        name: [parent[name], own[name]]
        for name in sorted((parent.keys() & own.keys()) - (FREE_ON_RESUME - {"max_steps"}) - {"branch_from"})
        if parent[name] != own[name]
    }
    kept = KEPT | args.model.shape().keys()
    if ARCHITECTURE in parent.keys() | own.keys():
        kept |= {"init_from"}  # whose shape the weights have
    if fixed := [name for name in changed if name in kept]:
        pairs = ", ".join(f"{name} {changed[name][0]} -> {changed[name][1]}" for name in fixed)
        raise InputError(f"a branch of {checkpoint} cannot change {pairs}: give the values of the run")
    rows = parent["per_device_train_batch_size"] * read_seal(checkpoint)["world_size"]
    now = args.training.per_device_train_batch_size * args.training.world_size
    if rows != now:
        raise InputError(
            f"a branch of {checkpoint} cannot change the micro-batch over all processes, {rows} -> {now} blocks: give "
            "another per_device_train_batch_size or number of processes"
        )
    saved[BRANCH] = {"step": step, "changed": changed}
    return checkpoint


def reads_other_text(saved: dict[str, Any]) -> bool:
    """True if a branch reads another corpus than the run before it, or reads it in another way."""
    of_corpus = {f.name for f in fields(CorpusArguments)} - SAME_TEXT
    return bool(of_corpus & saved.get(BRANCH, {"changed": {}})["changed"].keys())


def is_start(checkpoint: Path | None, output_dir: Path) -> bool:
    """True if a run in `output_dir` starts there, as a new run or a branch, and is not resumed from its own folder."""
    return checkpoint is None or checkpoint.resolve().parent != output_dir.resolve()
