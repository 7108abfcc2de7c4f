"""Labelled texts as windows of token ids, by class and task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ...modeling_pico.tagging_pico import encode_words
from ..corpus.tokenizer import text_ids
from ..errors import InputError
from ..ner.alignment import check_word_ids
from .files import Labelled
from .hold_out import FEWEST, Classes

# Texts that are tokenized at once.
BATCH = 1000
# Longer than any sentence: windows are cut here, not by the tokenizer.
WHOLE = 2**31


@dataclass(frozen=True)
class TaskClass:
    """A class of a task."""

    label: str
    number: int  #: over all tasks of the table
    rows: Tensor  #: (n,) rows of its windows


@dataclass(frozen=True)
class Task:
    """A task and its classes."""

    name: str
    classes: tuple[TaskClass, ...]


@dataclass(frozen=True)
class TaskTable:
    """Windows of labelled texts, filled up on the right: a causal model reads nothing that follows.

    A window of a sentence begins with it; one of an entity ends with the entity's last token. The state of its last
    token is classified.
    """

    ids: Tensor  #: (E, L) token ids, 0 after the end
    lengths: Tensor  #: (E,) tokens of each window
    texts: Tensor  #: (E,) number of the text that each window is of
    tasks: tuple[Task, ...]

    @classmethod
    def from_rows(cls, rows: Sequence[Labelled], tokenizer: PreTrainedTokenizerBase, window: int) -> "TaskTable":
        """Tokenize labelled texts without special tokens, and keep at most `window` tokens of each.

        Raises:
            InputError: a text without a token, or entities with a tokenizer that does not know a token's word.
        """
        rows = sorted(rows, key=lambda row: (row.task, row.label))
        numbers: dict[str | tuple[str, ...], int] = {}
        texts = torch.tensor([numbers.setdefault(row.text, len(numbers)) for row in rows])
        ids = torch.zeros(len(rows), window, dtype=torch.int32)
        lengths = torch.zeros(len(rows), dtype=torch.int64)
        for i, tokens in enumerate(_windows(rows, tokenizer, window)):
            if not tokens:
                raise InputError(f"task {rows[i].task!r}: the tokenizer has no token for {str(rows[i].text)[:40]!r}")
            ids[i, : len(tokens)] = torch.tensor(tokens)
            lengths[i] = len(tokens)
        return cls(ids, lengths, texts, _tasks(rows))

    def select(self, classes: Mapping[str, Iterable[str]]) -> "TaskTable":
        """Keep these classes of these tasks."""
        kept = (
            Task(task.name, tuple(c for c in task.classes if c.label in classes[task.name]))
            for task in self.tasks
            if task.name in classes
        )
        return replace(self, tasks=tuple(kept))

    def with_examples(self, count: int) -> "TaskTable":
        """Keep classes that have `count` different texts, and tasks that have two of these."""
        kept = (
            Task(task.name, tuple(c for c in task.classes if len(self.texts[c.rows].unique()) >= count))
            for task in self.tasks
        )
        return replace(self, tasks=tuple(task for task in kept if len(task.classes) >= FEWEST))

    def classes(self) -> Classes:
        """Return the names of the classes of each task."""
        return {task.name: [c.label for c in task.classes] for task in self.tasks}


def _tasks(rows: Sequence[Labelled]) -> tuple[Task, ...]:
    """Group rows that are sorted by task and label."""
    tasks: list[Task] = []
    numbered = 0
    for name, of_task in groupby(enumerate(rows), key=lambda pair: pair[1].task):
        classes = []
        for label, of_class in groupby(of_task, key=lambda pair: pair[1].label):
            classes.append(TaskClass(label, numbered, torch.tensor([i for i, _ in of_class])))
            numbered += 1
        tasks.append(Task(name, tuple(classes)))
    return tuple(tasks)


def _windows(rows: Sequence[Labelled], tokenizer: PreTrainedTokenizerBase, window: int) -> Iterable[list[int]]:
    """Yield the token ids of each row's window."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        texts = [row.text for row in batch if isinstance(row.text, str)]
        whole = iter(text_ids(tokenizer, texts) if texts else [])
        sentences = [row for row in batch if not isinstance(row.text, str)]
        up_to_entity = iter(_entity_ids(sentences, tokenizer) if sentences else [])
        for row in batch:
            yield next(whole)[:window] if isinstance(row.text, str) else next(up_to_entity)[-window:]


def _entity_ids(rows: Sequence[Labelled], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Return the token ids of each row's sentence up to the last token of its entity."""
    check_word_ids(tokenizer)
    encoded = encode_words(tokenizer, [list(row.text) for row in rows], WHOLE)
    found = []
    for i, (row, ids) in enumerate(zip(rows, encoded["input_ids"], strict=True)):
        words = encoded.word_ids(i)
        found.append([token for token, word in zip(ids, words, strict=True) if word is not None and word < row.end])
    return found
