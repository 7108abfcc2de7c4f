"""Which runs a sweep makes, and how."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ...trainers import InputError
from ...trainers.ner import NERConfig
from ...trainers.ner.ner_config import MODES
from ...trainers.ner.universal_ner import ALL, SEEN
from ...trainers.runs.sweep_folder import Model, Run, plan

LAUNCHERS = ("process", "submitit-local", "slurm")


@dataclass
class SweepArguments:
    """Arguments of a sweep: every model is fine-tuned in every mode on every treebank with every seed."""

    models: list[str] = field(
        metadata={
            "help": "SIZE/PRETRAINING=MODEL, a folder or user/name@revision: tiny/maml=runs/maml tiny/vanilla=..."
        }
    )
    modes: list[str] = field(default_factory=lambda: list(MODES), metadata={"help": "head, full, or both."})
    train_on: list[str] = field(
        default_factory=lambda: [*SEEN, ALL], metadata={"help": "Treebanks to train on; `all` is the nine together."}
    )
    evaluate_on: list[str] = field(
        default_factory=lambda: [ALL], metadata={"help": "Treebanks whose test sets are scored; `all` means 18."}
    )
    seeds: list[int] = field(default_factory=lambda: [42], metadata={"help": "Seeds of head, order and dropout."})
    uner_dir: str | None = field(
        default=None, metadata={"help": "Folder of the Universal NER files (unset: downloaded once and cached)."}
    )
    workers: int = field(default=1, metadata={"help": "Processes, or SLURM array jobs, that share the runs."})
    launcher: str = field(
        default="process",
        metadata={"help": f"{', '.join(LAUNCHERS)}: processes here, the same through submitit, or SLURM array jobs."},
    )
    slurm: dict | str | None = field(
        default=None,
        metadata={"help": 'submitit\'s parameters as JSON: {"slurm_partition": "gpu", "timeout_min": 600}.'},
    )
    dry_run: bool = field(default=False, metadata={"help": "Say what is left and what it costs; run nothing."})
    retry_failed: bool = field(default=False, metadata={"help": "Run what failed before again."})
    delete_downloads: bool = field(
        default=False,
        metadata={
            "help": "Delete afterwards what was downloaded of the models, when nothing is left to run from the Hub."
        },
    )
    stale_after: float = field(
        default=600.0, metadata={"help": "Seconds of silence after which another worker's run is taken over."}
    )

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise InputError(f"launcher must be one of {', '.join(LAUNCHERS)}, got {self.launcher!r}")
        if wrong := [mode for mode in self.modes if mode not in MODES]:
            raise InputError(f"modes are {' and '.join(MODES)}, got {', '.join(wrong)}")
        if isinstance(self.slurm, str):
            try:
                self.slurm = json.loads(self.slurm)
            except json.JSONDecodeError as error:
                raise InputError(f"slurm must be JSON, got {self.slurm!r}") from error
        if self.delete_downloads and self.launcher == "slurm":
            raise InputError("delete_downloads cannot know when SLURM jobs are done with a model: leave it")
        for name in ("workers", "stale_after"):
            if self.__dict__[name] < 1:
                raise InputError(f"{name} must be at least 1, got {self.__dict__[name]}")

    def runs(self) -> list[Run]:
        """Every run of the sweep, those of a model together."""
        return plan([Model.parse(text) for text in self.models], self.modes, self.train_on, self.seeds)


TYPES = (SweepArguments, NERConfig)
# What two sessions of one sweep may differ in.
FREE = {"workers", "launcher", "slurm", "dry_run", "retry_failed", "delete_downloads", "stale_after", "uner_dir"}
# The fine-tuning arguments that decide results.
DECISIVE = (
    "labelled_subword",
    "tag_decoding",
    "early_stopping_patience",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "bf16",
)


def comparable(sweep: SweepArguments, args: NERConfig) -> dict[str, Any]:
    """What decides the results of a sweep.

    Raises:
        InputError: an argument that the sweep itself goes through.
    """
    if (args.mode, args.seed) != (NERConfig.mode, NERConfig.seed):
        raise InputError("a sweep goes through modes and seeds: give --modes and --seeds instead of --mode and --seed")
    return {name: value for name, value in asdict(sweep).items() if name not in FREE} | {
        name: args.__dict__[name] for name in DECISIVE
    }
