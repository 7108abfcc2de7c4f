"""A class episode: the words of a micro-batch that have a class, on two sides with different words.

Unlike an N-way K-shot `Episode` it has all these words, any number of a class. Nothing is hidden: the state at a
word's last token has read the word, and its class tells which other words occur in the same places.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..corpus.form_table import FormTable
from ..devices import copied
from ..word_classes.table import WordClasses


@dataclass(frozen=True)
class ClassEpisode:
    """M states of a micro-batch of all processes: the first `border` of them are side 0, the others are side 1.

    Attributes:
        rows: (M,) row of the micro-batch where each state is read.
        positions: (M,) position in that row, the last token of a word.
        words: (M,) numbers of the words; no word is on both sides.
        classes: (M,) classes in [0, C).
        border: states of side 0.
        asked: (M,) bool, the queries: states whose class is told from examples of the other side.
        queries: number of queries.
        largest: number of queries of their most frequent class, the score of always answering with it.
        known: (2, C) bool, classes that have examples for the queries of side 0, and for those of side 1.
    """

    rows: Tensor
    positions: Tensor
    words: Tensor
    classes: Tensor
    border: int
    asked: Tensor
    queries: int
    largest: int
    known: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def to(self, device: torch.device) -> "ClassEpisode":
        """Move the episode to a device."""
        tensors = {name: part for name, part in vars(self).items() if isinstance(part, Tensor)}
        moved: dict[str, Any] = {name: copied(part, device) for name, part in tensors.items()}
        return replace(self, **moved)


@dataclass(frozen=True)
class ClassStates:
    """States at the last tokens of the P words of a text that have a class."""

    rows: Tensor  #: (P,) row of the text
    positions: Tensor  #: (P,) position in that row
    words: Tensor  #: (P,) numbers of the words
    classes: Tensor  #: (P,) classes in [0, C)

    @classmethod
    def find(cls, token_ids: Tensor, table: FormTable, classes: WordClasses) -> "ClassStates":
        """Find the table's words that have a class in (R, T) token ids, but for those that may go on beyond a row."""
        token_ids = token_ids.cpu().long()
        places = table.find(token_ids)
        found = classes.find(places.words)
        chosen = torch.nonzero(places.whole & (found >= 0)).flatten()
        last, length = places.ends[chosen] - 1, token_ids.shape[1]
        return cls(last // length, last % length, places.words[chosen], found[chosen])

    def __len__(self) -> int:
        return len(self.classes)

    def where(self, mask: Tensor) -> "ClassStates":
        """Select states by a (P,) bool mask."""
        return ClassStates(self.rows[mask], self.positions[mask], self.words[mask], self.classes[mask])

    def join(self, other: "ClassStates") -> "ClassStates":
        """These states, then the other ones."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ClassStates(*(torch.cat(pair) for pair in pairs))

    def divide(self, side: Tensor, known: Tensor, both: bool) -> ClassEpisode | None:
        """Return the episode with these sides, or None if it has no query or only one class to choose from.

        Args:
            side: (P,) bool, True for side 1.
            known: (2, C) bool, see `ClassEpisode`; other classes are neither asked for nor answers.
            both: ask for the classes of both sides, else of side 1.
        """
        order = torch.argsort(side.long(), stable=True)
        side, classes = side[order], self.classes[order]
        asked = known[side.long(), classes] & (side | both)
        queries = int(asked.sum())
        if queries == 0 or int(known.any(0).sum()) < 2:
            return None
        places = self.rows[order], self.positions[order], self.words[order], classes
        largest = int(torch.bincount(classes[asked]).max())
        return ClassEpisode(*places, len(side) - int(side.sum()), asked, queries, largest, known)

    def random_sides(self, generator: torch.Generator) -> Tensor:
        """(P,) bool, a random side of each word."""
        words, which = torch.unique(self.words, return_inverse=True)
        return (torch.rand(len(words), generator=generator) < 0.5)[which]

    def halves(self) -> Tensor:
        """(P,) bool, the side that each word always has."""
        return self.words & 1 == 1

    def present(self, side: Tensor, n_classes: int) -> Tensor:
        """(2, C) bool, the classes of the states on each side."""
        return torch.bincount(side * n_classes + self.classes, minlength=2 * n_classes).view(2, -1) > 0
