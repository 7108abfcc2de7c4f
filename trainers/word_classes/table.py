"""The classes of words, as a file and for token ids."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..corpus.form_table import FormTable
from ..corpus.spellings import WORD
from ..corpus.word_forms import casefolded, exact, held_out_places, word_number
from ..errors import InputError
from ..runs.files import CLASSES_FILE
from ..runs.whole_file import write_whole
from ..text_lines import read_lines

logger = logging.getLogger(__name__)

STRATA = 10


@dataclass(frozen=True)
class WordClasses:
    """The class of each of V words. A word is an exact spelling: `May` and `may` are two words.

    Attributes:
        spellings: V words, in the order of `numbers`.
        numbers: (V,) int64, sorted; a word's number is a hash of its spelling, the same for every tokenizer.
        classes: (V,) int64 in [0, C).
        counts: (V,) int64, how often each occurs in the text that was counted; 0 if that is not known.
        labels: names of the C classes, a class without a word among them too.
    """

    spellings: list[str]
    numbers: Tensor
    classes: Tensor
    counts: Tensor
    labels: list[str]

    @property
    def n_classes(self) -> int:
        """C, the number of classes."""
        return len(self.labels)

    def __len__(self) -> int:
        return len(self.spellings)

    def find(self, numbers: Tensor) -> Tensor:
        """Return the (P,) classes of words by their (P,) numbers, -1 for words that have none."""
        if not self.spellings:
            return torch.full_like(numbers, -1)
        at = torch.searchsorted(self.numbers, numbers).clamp(max=len(self) - 1)
        return torch.where(self.numbers[at] == numbers, self.classes[at], -1)

    def split(self, rule: str, held_out: float) -> tuple["WordClasses", "WordClasses"]:
        """The training words, and the held-out words: the same ones that `FormTable.split` of this rule holds out.

        `held_out` is the share of held-out words. Both keep all classes.
        """
        place = held_out_places(rule)
        chosen = torch.tensor([place(casefolded(word)) < held_out for word in self.spellings], dtype=torch.bool)
        return self._where(~chosen), self._where(chosen)

    def shuffled(self, seed: int) -> "WordClasses":
        """Permute the classes among words of like frequency, so that a class keeps its size but not its meaning.

        Words of like frequency are those of the same tenth of the words, sorted by count.
        """
        generator = torch.Generator().manual_seed(seed)
        classes = self.classes.clone()
        for stratum in torch.argsort(self.counts, stable=True).tensor_split(STRATA):
            classes[stratum] = self.classes[stratum[torch.randperm(len(stratum), generator=generator)]]
        return replace(self, classes=classes)

    def examples(self, classes: int, words: int) -> list[tuple[str, list[str]]]:
        """Label and most frequent words of some classes, spread evenly from the largest class to the smallest."""
        by_size = torch.argsort(torch.bincount(self.classes, minlength=self.n_classes), descending=True, stable=True)
        chosen = by_size[torch.linspace(0, self.n_classes - 1, min(classes, self.n_classes)).round().long()]
        by_count = torch.argsort(self.counts, descending=True, stable=True)
        members = [by_count[self.classes[by_count] == number][:words].tolist() for number in chosen.tolist()]
        names = [self.labels[number] for number in chosen.tolist()]
        return [(name, [self.spellings[i] for i in at]) for name, at in zip(names, members, strict=True)]

    def save(self, folder: Path) -> None:
        """Write word_classes.tsv into a folder: a header, then word, class and count, the most frequent first."""
        rows = ["word\tclass\tcount"]
        for i in torch.argsort(self.counts, descending=True, stable=True).tolist():
            rows.append(f"{self.spellings[i]}\t{self.labels[self.classes[i]]}\t{self.counts[i]}")
        write_whole(folder / CLASSES_FILE, "\n".join(rows) + "\n")

    @classmethod
    def from_words(cls, words: Sequence[str], labels: Sequence[str], counts: Sequence[int]) -> "WordClasses":
        """The table of V different words, the label of the class of each, and its count."""
        numbers = torch.tensor([word_number(exact(word)) for word in words], dtype=torch.long)
        order = torch.argsort(numbers)
        names = sorted(set(labels), key=lambda label: (len(label), label) if label.isdecimal() else (0, label))
        index = {name: number for number, name in enumerate(names)}
        return cls(
            [exact(words[i]) for i in order.tolist()],
            numbers[order],
            torch.tensor([index[label] for label in labels], dtype=torch.long)[order],
            torch.tensor(counts, dtype=torch.long)[order],
            names,
        )

    @classmethod
    def load(cls, path: Path) -> "WordClasses":
        """Read word_classes.tsv of a folder, or a file of words and classes separated by tabs, with a header.

        The columns are `word`, `class` and, if it is known, `count`; others are not read. Rows whose word is more or
        less than one word of a text are skipped and logged.

        Raises:
            InputError: the file is not such a table, or a word has two rows.
        """
        path = path / CLASSES_FILE if path.is_dir() else path
        rows = _read(path)
        skipped = [row.word for row in rows if not WORD.fullmatch(casefolded(row.word))]
        if skipped:
            logger.warning(
                f"{path}: {len(skipped)} rows are skipped, because they are not one word of letters, such as "
                f"{', '.join(map(repr, skipped[:5]))}"
            )
        rows = [row for row in rows if WORD.fullmatch(casefolded(row.word))]
        word, times = Counter(row.word for row in rows).most_common(1)[0] if rows else ("", 0)
        if times > 1:
            raise InputError(f"{path}: {word!r} has more than one row: give each word one class")
        labels = [row.label for row in rows]
        if len(set(labels)) < 2:
            raise InputError(f"{path} has words of {len(set(labels))} classes: give at least two classes")
        return cls.from_words([row.word for row in rows], labels, [row.frequency for row in rows])

    def split_classes(self, held_out: float) -> tuple["WordClasses", "WordClasses"]:
        """The words of training classes, and those of held-out classes; which ones depends on their numbers alone.

        `held_out` is the share of held-out classes. Both keep the numbers and labels of all classes.
        """
        # Multiples of the golden ratio, as in `WordTable.split`.
        place = torch.arange(self.n_classes, dtype=torch.float64) * ((5**0.5 - 1) / 2) % 1
        chosen = (place < held_out)[self.classes]
        return self._where(~chosen), self._where(chosen)

    def _where(self, mask: Tensor) -> "WordClasses":
        kept = torch.nonzero(mask).flatten()
        spellings = [self.spellings[i] for i in kept.tolist()]
        return WordClasses(spellings, self.numbers[kept], self.classes[kept], self.counts[kept], self.labels)


def spelling_table(tokenizer: PreTrainedTokenizerBase, vocab_size: int, rule: str = "form") -> FormTable:
    """The table that finds words by their spelling in token ids; `rule` says which are held out (see `split`)."""
    return FormTable.from_tokenizer(tokenizer, vocab_size, rule, exact)


class _Row(NamedTuple):
    word: str
    label: str
    frequency: int


def _read(path: Path) -> list[_Row]:
    """The rows of a file, with the count 0 where it is not given."""
    header, *lines = read_lines(path)
    names = header.split("\t")
    if not {"word", "class"} <= set(names):
        raise InputError(f"{path} begins with {header[:80]!r}: its first line must name the columns word and class")
    rows = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        values = dict(zip(names, line.split("\t"), strict=False))
        if not values.get("word") or not values.get("class"):
            raise InputError(f"{path}, line {number}: {line[:80]!r} has no word or no class; separate them by a tab")
        count = values.get("count", "0")
        if not count.isdecimal():
            raise InputError(f"{path}, line {number}: the count of {values['word']!r} is {count!r}: give a number")
        rows.append(_Row(exact(values["word"]), values["class"], int(count)))
    return rows
