"""Arguments of a sweep, and which of them decide its results."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from datasets import Dataset, DatasetDict
from transformers.hf_argparser import HfArg

from ...trainers import InputError, load_treebank
from ...trainers.ner import NERConfig
from ...trainers.ner.iob2 import LABELS
from ...trainers.ner.labels import classes_of, tag_names, tags_of, with_tags
from ...trainers.ner.treebank import SAMPLE, load_test_sets
from ...trainers.ner.universal_ner import ALL, SEEN, TREEBANKS
from ...trainers.runs.sweep_folder import Model, Run, plan
from ...trainers.tuning.tuning_config import MODES
from ..arguments.entities import EntityArguments
from ..arguments.launcher import LauncherArguments


@dataclass(kw_only=True)
class SweepArguments(EntityArguments, LauncherArguments):
    """A sweep: every model is fine-tuned in every mode on every treebank with every seed."""

    models: list[str] = HfArg(
        default_factory=list,
        help="SIZE/PRETRAINING[/SEED]=MODEL, a folder or user/name[@revision][:subfolder]: tiny/maml/1=runs/maml-1 "
        "... SEED is that of pretraining, by which runs are paired (default: 0).",
    )
    tokenizer: str | None = HfArg(
        default=None, help="Folder or Hub name of the tokenizer of all models (unset: each model's own)."
    )
    modes: list[str] = HfArg(default_factory=lambda: list(MODES), help="head, full, or both.")
    train_on: list[str] = HfArg(
        default_factory=lambda: [*SEEN, ALL], help="Treebanks to train on; `all` is the nine together."
    )
    evaluate_on: list[str] = HfArg(
        default_factory=lambda: [ALL], help="Treebanks whose test sets are scored; `all` means 18."
    )
    seeds: list[int] = HfArg(default_factory=lambda: [42], help="Seeds of head, order and dropout.")
    uner_dir: str | None = HfArg(
        default=None, help="Folder of the Universal NER files (unset: downloaded once and cached)."
    )
    split_dev: bool = HfArg(
        default=False, help="Where a treebank has no train split, take nine tenths of its dev split for it."
    )
    dry_run: bool = HfArg(default=False, help="Print the runs that are left and what they cost; run nothing.")
    retry_failed: bool = HfArg(default=False, help="Run failed runs again.")
    delete_downloads: bool = HfArg(default=False, help="Delete downloaded models at the end. Not with launcher slurm.")

    def __post_init__(self) -> None:
        LauncherArguments.__post_init__(self)
        EntityArguments.__post_init__(self)
        if not self.models:
            raise InputError(
                "no models: give every pretraining run that is compared as --models SIZE/PRETRAINING/SEED=MODEL, for "
                "example tiny/vanilla/1=runs/vanilla-1 tiny/maml/1=runs/maml-1"
            )
        if wrong := [mode for mode in self.modes if mode not in MODES]:
            raise InputError(f"modes are {' and '.join(MODES)}, got {', '.join(wrong)}")
        if self.delete_downloads and self.launcher == "slurm":
            raise InputError("delete_downloads cannot know when SLURM jobs are done with a model: do not set it")

    def load(self, name: str) -> DatasetDict:
        """A treebank, with the tags of all that are trained on."""
        splits = load_treebank(name, self.uner_dir, self.split_dev, self.data_format())
        return DatasetDict({split: with_tags(rows, self.tags, name) for split, rows in splits.items()})

    def load_tests(self) -> dict[str, Dataset]:
        """The test sets, with the same tags."""
        return load_test_sets(self.evaluate_on, self.uner_dir, self.data_format(), self.tags)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags of all treebanks that are trained on."""
        if all(name in (SAMPLE, ALL, *TREEBANKS) for name in self.train_on) and not self.label_map:
            return LABELS
        classes: set[str] = set()
        for name in self.train_on:
            splits = load_treebank(name, self.uner_dir, self.split_dev, self.data_format())
            classes.update(*(classes_of(tags_of(rows)) for rows in splits.values()))
        return tag_names(classes)

    def runs(self) -> list[Run]:
        """Every run of the sweep, those of a model together."""
        return plan([Model.parse(text) for text in self.models], self.modes, self.train_on, self.seeds)


TYPES = (SweepArguments, NERConfig)
# Arguments that do not change a run's result: a sweep may go on with other values.
FREE = {f.name for f in fields(LauncherArguments)} | {"dry_run", "retry_failed", "delete_downloads", "uner_dir"}
# The fine-tuning arguments that do.
DECISIVE = (
    "labelled_subword",
    "tag_decoding",
    "space_before_words",
    "max_sentence_tokens",
    "classifier_dropout",
    "features",
    "head_solver",
    "batch_by_length",
    "chosen_epoch",
    "early_stopping_patience",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_grad_norm",
    "bf16",
    "fp16",
)


def decisive(sweep: SweepArguments, args: NERConfig) -> dict[str, Any]:
    """The arguments that decide the results of a sweep.

    Raises:
        InputError: a mode or a seed of fine-tuning, which the sweep itself varies.
    """
    if (args.mode, args.seed) != (NERConfig.mode, NERConfig.seed):
        raise InputError("a sweep goes through modes and seeds: give --modes and --seeds instead of --mode and --seed")
    if args.head_solver != NERConfig.head_solver and "head" not in sweep.modes:
        raise InputError(f"head_solver {args.head_solver} trains mode head, which is not among modes: add it")
    settings = {name: value for name, value in args.to_dict().items() if name in DECISIVE}
    return {name: value for name, value in asdict(sweep).items() if name not in FREE} | settings
