"""Counts words, and the words to their left and right, in blocks of token ids, with bounded memory."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..corpus.form_table import FormTable
from ..corpus.mixture import MixedStream
from ..corpus.packing import first_blocks
from ..corpus.stream import BlockStream
from ..corpus.word_forms import exact
from ..errors import InputError

logger = logging.getLogger(__name__)

# Words whose neighbours are counted, and words that are counted as neighbours, the most frequent ones of each.
MOST_WORDS, CONTEXTS = 100_000, 1500
# Different words that are counted at a time, 16 bytes each.
MOST_COUNTED = 2**22
CHUNK_TOKENS = 2**20
Blocks: TypeAlias = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class NeighbourCounts:
    """How often each of V words stands right of, and left of, each of C frequent words.

    Attributes:
        spellings: V words, the most frequent first.
        counts: (V,) int64.
        neighbours: (V, 2 C) counts; a word's left neighbours, then its right neighbours.
        tokens: of the text that was counted.
    """

    spellings: list[str]
    counts: np.ndarray
    neighbours: csr_array
    tokens: int


class WordCounter:
    """Counts words by their number, and forgets the rarest of more than `most` different words.

    A word's count is then too low by at most `lost` (lossy counting, Manku and Motwani 2002).
    """

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self.most = most
        self.numbers = torch.empty(0, dtype=torch.long)  # sorted
        self.counts = torch.empty(0, dtype=torch.long)
        self.lost = 0

    def add(self, numbers: Tensor) -> None:
        """Count words by their (P,) numbers."""
        new, counts = torch.unique(numbers, return_counts=True)
        self.numbers, which = torch.unique(torch.cat([self.numbers, new]), return_inverse=True)
        total = torch.zeros(len(self.numbers), dtype=torch.long)
        self.counts = total.index_add(0, which, torch.cat([self.counts, counts]))
        if len(self.numbers) > self.most:
            threshold = int(self.counts.kthvalue(len(self.counts) - self.most // 2).values)
            kept = self.counts > threshold
            self.numbers, self.counts = self.numbers[kept], self.counts[kept]
            self.lost += threshold

    def most_frequent(self, minimum: int) -> tuple[Tensor, Tensor]:
        """Numbers and counts of the MOST_WORDS most frequent words that occur `minimum` times, in that order."""
        order = torch.argsort(self.counts, descending=True, stable=True)[:MOST_WORDS]
        order = order[self.counts[order] >= minimum]
        return self.numbers[order], self.counts[order]


def count_neighbours(
    blocks: Blocks, tokenizer: PreTrainedTokenizerBase, table: FormTable, minimum: int, tokens: int
) -> NeighbourCounts:
    """Count the words of the first `tokens` tokens (0: all), and the neighbours of those that occur `minimum` times.

    A neighbour is the word before or after in the same block and document; what is no word is passed over. The text is
    read twice: to know the frequent words, and to count beside them.

    Args:
        blocks: rows of `input_ids` (T + 1) and `document`.
        tokenizer: spells the words.
        table: finds words by their spelling.

    Raises:
        InputError: no word occurs so often.
    """
    counter, read = WordCounter(), 0
    for ids, _ in chunks(blocks, tokens):
        places = table.find(ids)
        counter.add(places.words[places.whole])
        read += ids[:, 1:].numel()
    if counter.lost:
        logger.warning(
            f"the text has more than {counter.most} words: counts of rare ones are up to {counter.lost} low"
        )
    numbers, counts = counter.most_frequent(minimum)
    if not len(numbers):
        raise InputError(f"no word occurs {minimum} times in {read} tokens: lower class_min_count, or give more text")
    words, contexts = _Index(numbers), _Index(numbers[:CONTEXTS])
    spellings = [""] * len(numbers)
    neighbours = csr_array((len(numbers), 2 * len(contexts)), dtype=np.int32)
    for ids, documents in chunks(blocks, tokens):
        places = table.find(ids)
        places = places.where(places.whole)
        found = words.find(places.words)
        _spell(spellings, tokenizer, ids.reshape(-1), places.starts, places.ends, found)
        text = torch.stack([places.starts // ids.shape[1], documents.reshape(-1)[places.starts]])
        together = (text[:, 1:] == text[:, :-1]).all(0)
        neighbours = neighbours + pairs(found, contexts.find(places.words), together, neighbours.shape)
    return NeighbourCounts(spellings, counts.numpy(), neighbours, read)


class _Index:
    """The place of each word in a list of numbers."""

    def __init__(self, numbers: Tensor) -> None:
        self._sorted, self._at = numbers.sort()

    def __len__(self) -> int:
        return len(self._at)

    def find(self, numbers: Tensor) -> Tensor:
        """Return the (P,) places of words by their (P,) numbers, -1 for those that are not in the list."""
        near = torch.searchsorted(self._sorted, numbers).clamp(max=len(self) - 1)
        return torch.where(self._sorted[near] == numbers, self._at[near], -1)


def pairs(words: Tensor, contexts: Tensor, together: Tensor, shape: tuple[int, int]) -> csr_array:
    """Count neighbours as a matrix of a shape (V, 2 C): left ones, then right ones.

    Args:
        words: (P,) word in [0, V) at each place of a text, or -1.
        contexts: (P,) word in [0, C) that is counted as a neighbour, or -1.
        together: (P - 1,) bool, True where a place and the next are neighbours.
    """
    left = together & (words[1:] >= 0) & (contexts[:-1] >= 0)
    right = together & (words[:-1] >= 0) & (contexts[1:] >= 0)
    rows = torch.cat([words[1:][left], words[:-1][right]]).numpy()
    columns = torch.cat([contexts[:-1][left], contexts[1:][right] + shape[1] // 2]).numpy()
    return csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape)


def _spell(
    spellings: list[str],
    tokenizer: PreTrainedTokenizerBase,
    flat: Tensor,
    starts: Tensor,
    ends: Tensor,
    words: Tensor,
) -> None:
    """Write the spelling of words (P,), which lie in the spans [starts, ends) of token ids, where it is not known."""
    seen, example = np.unique(words.numpy(), return_index=True)
    new = [(word, at) for word, at in zip(seen.tolist(), example.tolist(), strict=True) if word >= 0]
    new = [(word, at) for word, at in new if not spellings[word]]
    if not new:  # of which batch_decode would make a text
        return
    spans = [flat[starts[at] : ends[at]].tolist() for _, at in new]
    texts = tokenizer.batch_decode(spans, clean_up_tokenization_spaces=False)
    for (word, _), text in zip(new, texts, strict=True):
        spellings[word] = exact(text.strip())


def chunks(blocks: Blocks, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and documents of the blocks that hold the first `tokens` tokens (0: all), about 2^20 tokens at a time."""
    text: Blocks = blocks.once() if isinstance(blocks, BlockStream | MixedStream) else blocks
    rows, left = iter(text), tokens
    for first in rows:
        length = len(first["input_ids"]) - 1
        size = max(CHUNK_TOKENS // length, 1)
        if tokens:
            size = min(size, -(-left // length))
        yield first_blocks([first, *islice(rows, size - 1)], size)
        left -= size * length
        if tokens and left <= 0:
            return
