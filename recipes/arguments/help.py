"""The text of `COMMAND --help`, one line an argument, and of `COMMAND --help_all`, with every argument in full."""

import inspect
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from enum import Enum
from textwrap import shorten, wrap

from transformers import TrainingArguments

from ...trainers.class_episodes.config import ClassEpisodeConfig
from ...trainers.meta import EpisodeConfig
from ...trainers.tasks.config import TaskConfig

WIDTH = 110  # of a line
INDENT = 33  # of the texts; the longest name of ours just fits
# transformers' own arguments that --help lists. All its others are under --help_all.
COMMON = {
    "output_dir": "Folder for everything that is written.",
    "max_steps": "Optimizer steps to train for (-1: go by num_train_epochs).",
    "learning_rate": "Peak learning rate of AdamW.",
    "lr_scheduler_type": "Course of the learning rate after warm-up: cosine, linear, ...",
    "warmup_steps": "Steps over which the learning rate rises from 0 (below 1: their share).",
    "per_device_train_batch_size": "Rows of a micro-batch on one process.",
    "gradient_accumulation_steps": "Micro-batches of an optimizer step on one process.",
    "seed": "Seed of weights, data order and episodes.",
    "bf16": "Train in bfloat16 mixed precision.",
    "save_steps": "Steps between two checkpoints (save_strategy no: none).",
    "logging_steps": "Steps between two logs.",
}

# Arguments of ours that few need: only --help_all lists them.
RARE = {
    "branch_from",
    "dynamics_measures",
    "dynamics_ov_circuits",
    "dynamics_probe_tokens",
    "episode_gradient_share",
    "episode_labels",
    "lr_decay_steps",
    "mixture_stop",
    "mixture_temperature",
    "matrix_optimizer",
    "save_schedule",
    "init_embeddings",
    "other_corpus",
    "query_loss_annealing",
}
# A recipe sets these together.
RARE |= {f.name for f in fields(ClassEpisodeConfig)} - {f.name for f in fields(EpisodeConfig)}
RARE |= {f.name for f in fields(TaskConfig)} - {"task_files"}


def help_text(types: Sequence[type], command: str, everything: bool) -> str:
    """Describe the fields of a command's argument dataclasses, a titled group a class and one for transformers'.

    Without `everything`, arguments in `RARE` and transformers' that are not in `COMMON` are omitted, and a help is cut
    after its first sentence.
    """
    groups = defaultdict(list)
    for cls in types:
        for argument in fields(cls):
            ours = declaring_class(cls, argument.name) is not TrainingArguments
            usual = argument.name not in RARE if ours else argument.name in COMMON
            if argument.init and (everything or usual):
                groups[cls if ours else TrainingArguments].append(argument)
    lines = [
        f"usage: pico-maml {command} [--config NAME_OR_FILE ...] [--ARGUMENT VALUE ...]",
        "Of several --config files later ones override earlier ones; the command line overrides them all.",
        "Defaults stand in brackets. --help lists the usual arguments, --help_all every one with its whole text.",
    ]
    for owner in sorted(groups, key=lambda owner: owner is TrainingArguments):
        lines.append(f"{title(owner)}:")
        for argument in groups[owner]:
            text = help_of(argument, owner)
            lines += full(argument, text) if everything else [one_line(argument, text)]
    return "\n".join(lines)


def declaring_class(cls: type, name: str) -> type:
    """The class, among a dataclass and its bases, that first declares a field."""
    return next(base for base in reversed(cls.__mro__) if name in inspect.get_annotations(base))


def title(owner: type) -> str:
    """Heading of a group: the docstring of its class up to the first full stop or semicolon."""
    if owner is TrainingArguments:
        return "Training (transformers' TrainingArguments)"
    return re.split(r"[.;](?:\s|$)", inspect.getdoc(owner) or owner.__name__)[0]


def one_line(argument: Field, text: str) -> str:
    """`--name  First sentence of the help. [default]`, cut at the width of a line."""
    default = shorten(default_text(argument), 40, placeholder=" ...]")
    room = WIDTH - INDENT - len(default) - 1
    sentence = re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
    text = shorten(sentence, room, placeholder=" ...", break_on_hyphens=False)
    return f"  --{argument.name:<{INDENT - 5}} {text} {default}".rstrip()


def full(argument: Field, text: str) -> list[str]:
    """The whole help of an argument, on as many lines as it needs."""
    text = f"  --{argument.name:<{INDENT - 5}} {text} {default_text(argument)}"
    return wrap(text, WIDTH, subsequent_indent=" " * INDENT, break_on_hyphens=False)


def help_of(argument: Field, owner: type) -> str:
    """The help text in one line, of the common arguments of transformers in our words."""
    common = COMMON.get(argument.name) if owner is TrainingArguments else None
    return common or " ".join(argument.metadata.get("help", "").split())


def default_text(argument: Field) -> str:
    """`[default]` as it is written on a command line; empty if the argument is unset or an empty list."""
    factory = argument.default_factory
    value = argument.default if factory is MISSING else factory()
    if value is MISSING:
        return "[required]"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return "" if value in (None, "") else f"[{value}]"
