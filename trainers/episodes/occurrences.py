"""Where in a pool of text a word may be hidden: the candidates that episodes are drawn from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..corpus.words import WordTable


@dataclass(frozen=True)
class Occurrences:
    """Places of words, grouped by word.

    Attributes:
        positions: (P,) flat positions in the pool, sorted by word.
        word: (P,) number of the word at each position, in [0, count).
        count: how many numbers there are; a word may have lost all its places.
    """

    positions: Tensor
    word: Tensor
    count: int

    def where(self, keep: Tensor) -> "Occurrences":
        """Those of a (P,) bool mask; words keep their numbers."""
        return Occurrences(self.positions[keep], self.word[keep], self.count)

    def per_word(self) -> Tensor:
        """(count,) places of each word."""
        return torch.bincount(self.word, minlength=self.count)

    def draw(self, words: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(N, count) positions for each of the (N,) words, without replacement."""
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
    """Places whose window lies in its row, holds the word once, and has text that no other place's window has.

    Args:
        token_ids: (R, T) rows of running text, on the CPU.
        least: words with fewer places are left out.
        start: where a window begins, counted from the word (negative: before it).
        window: L, tokens in a window.
        apart: tokens to the left and to the right of a place in which its word must not stand again.
        mask_id: never a word.
        words: which ids are words; without it any id is.
        max_frequency: words that make up more than this share of the pool are left out.
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
    found = Occurrences(positions, word, int(word[-1]) + 1)

    column = positions % length
    eligible = (column + start >= 0) & (column + start + window <= length) & _alone(found, apart)
    if words is not None:
        # Behind the last column stands a token nobody knows, so a word there may go on.
        after = torch.ones_like(usable)
        after[:, :-1] = words.continues[token_ids[:, 1:]]
        eligible &= ~after.reshape(-1)[positions]
    found = found.where(eligible)
    found = found.where((found.per_word() >= least)[found.word])
    return found.where(_first_of_each_context(flat, found.positions, start, window))


def _alone(found: Occurrences, apart: tuple[int, int]) -> Tensor:
    """Which places have no other of the same word so near (neighbours are adjacent, sorted by word and place).

    Positions are flat, so a neighbour may stand in another row; a window that stays in its row never reaches it.
    """
    before, after = apart
    gap = found.positions.diff()
    same = found.word.diff() == 0
    alone = torch.ones(len(found.positions), dtype=torch.bool)
    alone[1:] &= ~(same & (gap <= before))
    alone[:-1] &= ~(same & (gap <= after))
    return alone


def _first_of_each_context(flat: Tensor, positions: Tensor, start: int, window: int) -> Tensor:
    """(P,) bool: the window, the hidden word left out, has the same tokens as none before it.

    Text that stands in the pool twice would otherwise put the same window into support and query.
    """
    # A rolling hash: sum of x_j * B^j over the window, brought to the same power of B wherever the window starts
    # (64-bit arithmetic that wraps, so an odd B loses nothing).
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**62), 2**62, (int(flat.max()) + 1,), generator=generator)[flat]
    powers = torch.full((len(flat) + 1,), 6364136223846793005).cumprod(0)
    terms = values * powers[:-1]
    sums = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    begin = positions + start
    keys = sums[begin + window] - sums[begin]
    if start + window > 0:
        keys -= terms[positions]
    keys *= powers[len(flat) - begin]
    ranked, by_key = torch.sort(keys, stable=True)
    repeated = torch.zeros(len(keys), dtype=torch.bool)
    repeated[by_key[1:][ranked[1:] == ranked[:-1]]] = True
    return ~repeated
