"""Tokens read of each source of a mixture of corpora, and the next-token loss of each."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .devices import copied
from .meter import Meter
from .process_group import sums


class SourceMetrics:
    """Counts tokens and means losses by source; without sources it does nothing.

    Args:
        names: of the S sources; rows of a micro-batch have their number.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._counts = dict.fromkeys((f"tokens_seen/{name}" for name in names), 0)
        self._new = torch.zeros(len(self.names), dtype=torch.long)  # of this process, not in counts yet
        self._is_of = torch.empty(0)  # (B, S) bool, of the current micro-batch

    def see(self, sources: Tensor, block_size: int) -> None:
        """Count the tokens of this process's micro-batch, whose rows (B,) are from these sources, on the CPU."""
        self._is_of = sources[:, None] == torch.arange(len(self.names))
        self._new += self._is_of.sum(0) * block_size

    def record(self, row_losses: Tensor, meter: Meter) -> None:
        """Add the next-token losses (B,) of the rows of that micro-batch to `next_token_loss/NAME`."""
        is_of = copied(self._is_of, row_losses.device)
        totals = (row_losses[:, None] * is_of).sum(0)
        for name, total, rows in zip(self.names, totals, is_of.sum(0), strict=True):
            meter.add(f"next_token_loss/{name}", total, rows)

    def total(self) -> dict[str, int]:
        """`tokens_seen/NAME` over all processes, which must all call it."""
        if self.names:
            for name, new in zip(self._counts, sums(self._new.tolist()), strict=True):
                self._counts[name] += int(new)
            self._new.zero_()
        return dict(self._counts)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the counts of a checkpoint; those of sources that it has not read begin at 0."""
        self._counts = {name: int(tensors[name]) if name in tensors else 0 for name in self._counts}
