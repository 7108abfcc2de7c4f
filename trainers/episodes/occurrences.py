"""The places of a pool of text where a word may be hidden."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..corpus.form_table import Words
from ..corpus.word_places import WordPlaces, span_keys


@dataclass(frozen=True)
class Occurrences:
    """Places of words, sorted by word."""

    positions: Tensor  #: (P,) flat positions in the pool, of a word's first token
    word: Tensor  #: (P,) index of the word at each position, in [0, count)
    numbers: Tensor  #: (count,) numbers of the words, the same in every pool; some words may have no place left

    @property
    def count(self) -> int:
        """Number of words."""
        return len(self.numbers)

    def where(self, mask: Tensor) -> "Occurrences":
        """Select places by a (P,) bool mask; the indices of the words do not change."""
        return Occurrences(self.positions[mask], self.word[mask], self.numbers)

    def per_word(self) -> Tensor:
        """Return the (count,) numbers of places of the words."""
        return torch.bincount(self.word, minlength=self.count)

    def draw(self, words: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Draw (N, count) positions of the words (N,) without replacement."""
        shuffled = torch.randperm(len(self.positions), generator=generator)
        by_word = shuffled[torch.argsort(self.word[shuffled], stable=True)]
        first = torch.searchsorted(self.word[by_word], words)
        return self.positions[by_word[first[:, None] + torch.arange(count)]]


def find_occurrences(
    token_ids: Tensor,
    least: int,
    start: int,
    window: int,
    *,
    mask_id: int,
    words: Words | None,
    max_frequency: float,
    first_in_row: bool = False,
) -> Occurrences:
    """Return the places whose window lies in one row, has the word once, and repeats no other place's window.

    The window of a word of several tokens ends before it or at a mask in its place.

    Args:
        token_ids: (R, T) rows of running text, on the CPU.
        least: fewest places of a word; words with fewer are dropped.
        start: start of a window relative to the word (negative: to its left).
        window: L, tokens in a window. Where the word is in its middle, words of several tokens have no place.
        mask_id: never a word.
        words: the words that may be hidden; None for every token id.
        max_frequency: words with more places than this share of the pool's tokens are dropped.
        first_in_row: keep only the first place of a word in its row, instead of those that are alone in their window.
    """
    length, flat = token_ids.shape[1], token_ids.reshape(-1)
    places = _every_token(flat, mask_id) if words is None else words.find(token_ids)
    places = places.take(torch.argsort(places.words, stable=True))
    numbers, word, total = torch.unique_consecutive(places.words, return_inverse=True, return_counts=True)
    usable = torch.nonzero((total <= max_frequency * flat.numel())[word]).flatten()
    places, word = places.take(usable), word[usable]

    column = places.starts % length
    eligible = places.whole & (column + start >= 0) & (column + start + window <= length)
    if start + window > 1:
        eligible &= places.ends - places.starts == 1
    if not first_in_row:
        eligible &= _alone(places, word, start, window)
    kept = Occurrences(places.starts[eligible], word[eligible], numbers)
    kept = kept.where((kept.per_word() >= least)[kept.word])
    kept = kept.where(_first_of_each_context(flat, kept.positions, start, window))
    if not first_in_row:
        return kept
    first = torch.zeros(len(flat), dtype=torch.bool)
    first[places.starts[_first_in_row(places, word, length)]] = True
    return kept.where(first[kept.positions])


def _every_token(flat: Tensor, mask_id: int) -> WordPlaces:
    starts = torch.nonzero(flat != mask_id).flatten()
    return WordPlaces(starts, starts + 1, flat[starts], torch.ones_like(starts, dtype=torch.bool))


def _first_in_row(places: WordPlaces, word: Tensor, length: int) -> Tensor:
    """(P,) bool: the word's first place in its row. Sorted by word, neighbours are adjacent."""
    first = torch.ones(len(word), dtype=torch.bool)
    first[1:] = (word.diff() != 0) | ((places.starts // length).diff() != 0)
    return first


def _alone(places: WordPlaces, word: Tensor, start: int, window: int) -> Tensor:
    """(P,) bool: no other place of the same word reaches into the window. Sorted by word, neighbours are adjacent.

    Positions are flat: at the edge of a row a place may be dropped for a neighbour in the next row.
    """
    # Where the word is in its middle, windows reach to both sides: places must lie a whole window apart.
    before, after = (window - 1, window - 1) if start + window > 1 else (-start, start + window - 1)
    same = word.diff() == 0
    alone = torch.ones(len(word), dtype=torch.bool)
    alone[1:] &= ~(same & (places.starts[1:] - places.ends[:-1] + 1 <= before))
    alone[:-1] &= ~(same & (places.starts.diff() <= after))
    return alone


def _first_of_each_context(flat: Tensor, positions: Tensor, start: int, window: int) -> Tensor:
    """(P,) bool: no earlier window has the same tokens, apart from the hidden word.

    Repeated text would otherwise put the same window into support and query.
    """
    begin = positions + start
    keys = span_keys(flat, begin, positions)
    if start + window > 1:  # the word is in the middle of its window
        keys = keys * 6364136223846793005 + span_keys(flat, positions + 1, begin + window)
    return first_of_each(keys)


def first_of_each(keys: Tensor) -> Tensor:
    """(P,) bool: no earlier one of the (P,) keys is the same."""
    ranked, by_key = torch.sort(keys, stable=True)
    first = torch.ones(len(keys), dtype=torch.bool)
    first[by_key[1:][ranked[1:] == ranked[:-1]]] = False
    return first
