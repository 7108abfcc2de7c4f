"""A series of checkpoints that somebody trained: which they are, and one at a time in memory."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.corpus import load_tokenizer
from ...trainers.loading import load_pretrained


@dataclass
class SeriesArguments:
    """Arguments of a checkpoint series."""

    model: str = field(
        metadata={"help": "A Hub name, or a folder; of a folder with checkpoint-N in it, all of these."}
    )
    revisions: list[str] = field(default_factory=list, metadata={"help": "Revisions of a Hub model, as `step1000`."})
    subfolders: list[str] = field(
        default_factory=list,
        metadata={"help": "Folders of checkpoints inside the model's, as `checkpoints/step_100`."},
    )
    steps: list[int] = field(
        default_factory=list, metadata={"help": "Their training steps; unset: the number in each name."}
    )
    tokens_per_step: int = field(default=0, metadata={"help": "Tokens of a training step (0: not known)."})
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub name; unset: that of the model, or of the first checkpoint."}
    )
    reference: str | None = field(
        default=None, metadata={"help": "Which of them CKA compares with, by its name above (unset: the first)."}
    )
    keep_downloads: bool = field(
        default=True,
        metadata={"help": "Keep downloaded checkpoints in the Hub's cache; false: only one is on disk at a time."},
    )

    def __post_init__(self) -> None:
        if self.revisions and self.subfolders:
            raise InputError("give revisions or subfolders, not both")
        if self.tokens_per_step < 0:
            raise InputError(f"tokens_per_step must be at least 0, got {self.tokens_per_step}")

    def checkpoints(self) -> list["Checkpoint"]:
        """The checkpoints in the order of their steps.

        Raises:
            InputError: a name without a step, steps that do not fit, or two of the same step.
        """
        folder = Path(self.model)
        saved = sorted(path.name for path in folder.glob("checkpoint-*") if re.fullmatch(r"\d+", path.name[11:]))
        names = self.revisions or self.subfolders or saved or [""]
        if self.steps and len(self.steps) != len(names):
            raise InputError(f"{len(self.steps)} steps for {len(names)} checkpoints: give as many, or none")
        steps = self.steps or [step_of(name or self.model, 0 if len(names) == 1 else None) for name in names]
        found = []
        for name, step in zip(names, steps, strict=True):
            if self.revisions:
                found.append(Checkpoint(name, step, self.model, revision=name))
            elif self.subfolders:
                found.append(Checkpoint(name, step, self.model, subfolder=name))
            else:
                found.append(Checkpoint(name or self.model, step, str(folder / name) if name else self.model))
        found.sort(key=lambda checkpoint: checkpoint.step)
        for one, other in pairwise(found):
            if one.step == other.step:
                raise InputError(f"{one.name} and {other.name} are both step {one.step}: name the steps with --steps")
        return found

    def reference_first(self, checkpoints: list["Checkpoint"]) -> list["Checkpoint"]:
        """The checkpoints in the order in which they are measured.

        Raises:
            InputError: the reference is none of them.
        """
        if self.reference is None:
            return checkpoints
        first = [checkpoint for checkpoint in checkpoints if checkpoint.name == self.reference]
        if not first:
            names = ", ".join(checkpoint.name for checkpoint in checkpoints)
            raise InputError(f"the reference {self.reference!r} is not in the series: {names}")
        return first + [checkpoint for checkpoint in checkpoints if checkpoint is not first[0]]

    def load_tokenizer(self, first: "Checkpoint") -> PreTrainedTokenizerBase:
        """The named tokenizer, or that of the series.

        Raises:
            InputError: there is none.
        """
        if self.tokenizer is not None:
            return load_tokenizer(self.tokenizer)
        return load_tokenizer(first.path, first.revision)


@dataclass(frozen=True)
class Checkpoint:
    """One of a series.

    Attributes:
        name: as the user knows it.
        step: of training.
        path: folder or Hub name.
        revision: of a Hub model.
        subfolder: inside the model's.
    """

    name: str
    step: int
    path: str
    revision: str | None = None
    subfolder: str = ""

    @contextmanager
    def loaded(self, keep_download: bool) -> Iterator[PreTrainedModel]:
        """The model in fp32, for as long as the block runs.

        Raises:
            InputError: there is no such checkpoint, or nothing in it that transformers loads as a language model.
        """
        with ExitStack() as stack:
            options: dict[str, Any] = {"subfolder": self.subfolder, "dtype": torch.float32}
            if not keep_download:
                options["cache_dir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="pico-maml-"))
            model = load_pretrained(AutoModelForCausalLM, self.path, self.revision, **options)
            yield model.to(PartialState().device)


def step_of(name: str, default: int | None = None) -> int:
    """The training step in a name: the number behind `step`, or else the only number.

    Raises:
        InputError: there is no such number, and no default.
    """
    numbers = re.findall(r"step[_-]?(\d+)", name) or re.findall(r"\d+", name)
    if len(numbers) == 1:
        return int(numbers[0])
    if default is None:
        raise InputError(f"no step number in {name!r}: name the training steps with --steps")
    return default
