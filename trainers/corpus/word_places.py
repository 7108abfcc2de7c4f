"""Where the words of a text are: pure functions on token ids."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WordPlaces:
    """P places of words in (R, T) token ids, in the order of the text."""

    starts: Tensor  #: (P,) flat position of the first token
    ends: Tensor  #: (P,) flat position after the last token
    words: Tensor  #: (P,) number of the word, the same in every text; never negative
    whole: Tensor  #: (P,) bool, False where the word goes on, or may go on beyond its row

    def where(self, mask: Tensor) -> "WordPlaces":
        """Select places by a (P,) bool mask."""
        return self.take(torch.nonzero(mask).flatten())

    def take(self, index: Tensor) -> "WordPlaces":
        """Select places by their (M,) indices, in that order."""
        return WordPlaces(*(t.index_select(0, index) for t in (self.starts, self.ends, self.words, self.whole)))


def span_keys(flat: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Return (P,) 64-bit keys of the token ids in the spans [begin, end) of (N,) ids: equal spans have equal keys."""
    # Rolling hash: sum of x_j * B^j over the span, scaled to the same power of B for every begin (64-bit arithmetic
    # that wraps around, in which an odd B is invertible).
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**62), 2**62, (int(flat.max()) + 1,), generator=generator)[flat]
    powers = torch.full((len(flat) + 1,), 6364136223846793005).cumprod(0)
    sums = torch.cat([powers.new_zeros(1), (values * powers[:-1]).cumsum(0)])
    return (sums[end] - sums[begin]) * powers[len(flat) - begin]
