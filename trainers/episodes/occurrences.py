"""The places of a pool of text where a word may be hidden."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..corpus.words import WordTable


@dataclass(frozen=True)
class Occurrences:
    """Places of words, sorted by word."""

    positions: Tensor  #: (P,) flat positions in the pool
    word: Tensor  #: (P,) number of the word at each position, in [0, count)
    count: int  #: number of words, of which some may have no place left

    def where(self, mask: Tensor) -> "Occurrences":
        """Select places by a (P,) bool mask; the numbers of the words do not change."""
        return Occurrences(self.positions[mask], self.word[mask], self.count)

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
    apart: tuple[int, int],
    *,
    mask_id: int,
    words: WordTable | None,
    max_frequency: float,
) -> Occurrences:
    """Return the places whose window lies in one row, has the word once, and repeats no other place's window.

    Args:
        token_ids: (R, T) rows of running text, on the CPU.
        least: fewest places of a word; words with fewer are dropped.
        start: start of a window relative to the word (negative: to its left).
        window: L, tokens in a window.
        apart: tokens to the left and to the right of a place that must not repeat its word.
        mask_id: never a word.
        words: which ids are words; None for all.
        max_frequency: words that make up a larger share of the pool are dropped.
    """
    length = token_ids.shape[1]
    flat = token_ids.reshape(-1)
    usable = token_ids != mask_id if words is None else words.is_word[token_ids]
    total = torch.bincount(flat)
    usable &= (total <= max_frequency * flat.numel())[token_ids]
    positions = torch.nonzero(usable.reshape(-1)).flatten()
    positions = positions[torch.argsort(flat[positions], stable=True)]
    if not len(positions):
        return Occurrences(positions, positions, 0)
    word = torch.zeros_like(positions)
    word[1:] = flat[positions].diff() != 0
    word = word.cumsum(0)
    places = Occurrences(positions, word, int(word[-1]) + 1)

    column = positions % length
    eligible = (column + start >= 0) & (column + start + window <= length) & _alone(places, apart)
    if words is not None:
        # The token after the last column is unknown and may continue the word.
        after = torch.ones_like(usable)
        after[:, :-1] = words.continues[token_ids[:, 1:]]
        eligible &= ~after.reshape(-1)[positions]
    places = places.where(eligible)
    places = places.where((places.per_word() >= least)[places.word])
    return places.where(_first_of_each_context(flat, places.positions, start, window))


def _alone(places: Occurrences, apart: tuple[int, int]) -> Tensor:
    """(P,) bool: no other place of the same word is so near. Sorted by word, neighbours are adjacent.

    Positions are flat: at the edge of a row a place may be dropped for a neighbour in the next row.
    """
    before, after = apart
    gap = places.positions.diff()
    same = places.word.diff() == 0
    alone = torch.ones(len(places.positions), dtype=torch.bool)
    alone[1:] &= ~(same & (gap <= before))
    alone[:-1] &= ~(same & (gap <= after))
    return alone


def _first_of_each_context(flat: Tensor, positions: Tensor, start: int, window: int) -> Tensor:
    """(P,) bool: no earlier window has the same tokens, apart from the hidden word.

    Repeated text would otherwise put the same window into support and query.
    """
    # Rolling hash: sum of x_j * B^j over the window, scaled to the same power of B for every start (64-bit
    # arithmetic that wraps around, in which an odd B is invertible).
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**62), 2**62, (int(flat.max()) + 1,), generator=generator)[flat]
    powers = torch.full((len(flat) + 1,), 6364136223846793005).cumprod(0)
    terms = values * powers[:-1]
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    begin = positions + start
    keys = sums[begin + window] - sums[begin]
    if start + window > 0:
        keys -= terms[positions]
    return first_of_each(keys * powers[len(flat) - begin])


def first_of_each(keys: Tensor) -> Tensor:
    """(P,) bool: no earlier one of the (P,) keys is the same."""
    ranked, by_key = torch.sort(keys, stable=True)
    first = torch.ones(len(keys), dtype=torch.bool)
    first[by_key[1:][ranked[1:] == ranked[:-1]]] = False
    return first
