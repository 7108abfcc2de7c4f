"""The checkpoints of a series, of this package or any other, loaded one at a time."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least
from ...trainers.loading import load_pretrained, load_with_head
from ...trainers.meta import EpisodeModel
from ...trainers.runs.checkpoints import numbered


@dataclass
class SeriesArguments:
    """Arguments of a checkpoint series."""

    model: str = HfArg(help="Hub name or folder. Of a run's folder, all checkpoint-N are measured.")
    revisions: list[str] = HfArg(default_factory=list, help="Revisions of a Hub model, such as step1000.")
    subfolders: list[str] = HfArg(default_factory=list, help="Folders in the model, such as checkpoints/step_100.")
    steps: list[int] = HfArg(default_factory=list, help="Training steps of the checkpoints (unset: from their names).")
    tokens_per_step: int = HfArg(default=0, help="Tokens of a training step (0: unknown).")
    tokenizer: str | None = HfArg(
        default=None, help="Folder or Hub name of the tokenizer (unset: that of the first checkpoint)."
    )
    reference: str | None = HfArg(default=None, help="Name of the checkpoint CKA compares with (unset: the first).")
    keep_downloads: bool = HfArg(
        default=True, help="Keep downloads in the Hub's cache. If false, only one checkpoint is on disk at a time."
    )

    def __post_init__(self) -> None:
        if self.revisions and self.subfolders:
            raise InputError("give revisions or subfolders, not both")
        check_at_least(0, tokens_per_step=self.tokens_per_step)

    def checkpoints(self) -> list["Checkpoint"]:
        """The checkpoints in the order of their steps; raise InputError if the steps are unknown or not unique."""
        saved = [folder.name for folder in numbered(Path(self.model)).values()]
        names = self.revisions or self.subfolders or saved or [""]
        if self.steps and len(self.steps) != len(names):
            raise InputError(f"{len(self.steps)} steps for {len(names)} checkpoints: give as many, or none")
        steps = self.steps or [step_of(name or self.model, 0 if len(names) == 1 else None) for name in names]
        series = [self._checkpoint(name, step) for name, step in zip(names, steps, strict=True)]
        series.sort(key=lambda checkpoint: checkpoint.step)
        for one, other in pairwise(series):
            if one.step == other.step:
                raise InputError(f"{one.name} and {other.name} are both step {one.step}: name the steps with --steps")
        return series

    def _checkpoint(self, name: str, step: int) -> "Checkpoint":
        if self.revisions:
            return Checkpoint(name, step, self.model, revision=name)
        if self.subfolders:
            return Checkpoint(name, step, self.model, subfolder=name)
        return Checkpoint(name or self.model, step, str(Path(self.model, name)) if name else self.model)

    def reference_first(self, checkpoints: list["Checkpoint"]) -> list["Checkpoint"]:
        """The checkpoints with the reference first; raise InputError if the reference is not among them."""
        if self.reference is None:
            return checkpoints
        names = [checkpoint.name for checkpoint in checkpoints]
        if self.reference not in names:
            raise InputError(f"the reference {self.reference!r} is not in the series: {', '.join(names)}")
        return sorted(checkpoints, key=lambda checkpoint: checkpoint.name != self.reference)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a series: its name on the command line, its training step, and where it is."""

    name: str
    step: int
    path: str
    revision: str | None = None
    subfolder: str = ""

    @contextmanager
    def loaded(self, keep_download: bool) -> Iterator[PreTrainedModel | EpisodeModel]:
        """Load the model in fp32; raise InputError if transformers cannot load it as a language model."""
        with ExitStack() as stack:
            options: dict[str, Any] = {"subfolder": self.subfolder, "dtype": torch.float32}
            if not keep_download:
                options["cache_dir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="pico-maml-"))
            yield self._load(options).to(PartialState().device)

    def _load(self, options: dict[str, Any]) -> PreTrainedModel | EpisodeModel:
        """Load the model, with the head for episodes if the checkpoint has one."""
        model = load_with_head(self.path, self.revision, **options)
        return load_pretrained(AutoModelForCausalLM, self.path, self.revision, **options) if model is None else model


def step_of(name: str, default: int | None = None) -> int:
    """The training step in a name: the number after `step`, or the only number; else the default or an InputError."""
    numbers = re.findall(r"step[_-]?(\d+)", name) or re.findall(r"\d+", name)
    if len(numbers) == 1:
        return int(numbers[0])
    if default is None:
        raise InputError(f"no step number in {name!r}: name the training steps with --steps")
    return default
