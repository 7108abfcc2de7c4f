"""The latest blocks of text, from which episodes are drawn even when a micro-batch alone is too small."""

from collections import deque
from collections.abc import Iterable

import torch
from accelerate.utils import gather
from torch import Tensor

from .meta_model import world_size


class EpisodePool:
    """Each process keeps its own latest micro-batches; they are put together only when an episode is drawn.

    Args:
        blocks: how many blocks to keep over all processes, rounded up to whole micro-batches.
        batch_size: B, blocks of a micro-batch on one process.
    """

    def __init__(self, blocks: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self.global_batch = batch_size * world_size()
        self._batches: deque[Tensor] = deque(maxlen=-(-blocks // self.global_batch))

    @property
    def capacity(self) -> int:
        """Blocks the pool holds over all processes when it is full."""
        return (self._batches.maxlen or 0) * self.global_batch

    def push(self, input_ids: Tensor) -> None:
        """Add this process's micro-batch (B, T); the oldest one drops out of a full pool."""
        self._batches.append(input_ids)

    def fill(self, blocks: Tensor, rank: int) -> None:
        """Set the pool to `blocks` (R, T), given in global order and repeated where they are too few."""
        order = torch.arange(self.capacity) % len(blocks)
        for batch in blocks[order].split(self.global_batch):
            self.push(batch[rank * self.batch_size :][: self.batch_size])

    def all_blocks(self, device: torch.device) -> Tensor:
        """(R, T) blocks of all processes, in the order a single process would have read them."""
        local = torch.stack([batch.to(device) for batch in self._batches])  # (M, B, T)
        by_rank = gather(local[None].contiguous())  # (W, M, B, T)
        return by_rank.transpose(0, 1).reshape(-1, local.shape[-1])


def first_blocks(dataset: Iterable[dict], count: int) -> Tensor:
    """Up to `count` rows of `input_ids` from the start of a data set, without the last id: (R, T) int64."""
    rows = []
    for row in dataset:
        rows.append(torch.as_tensor(row["input_ids"], dtype=torch.long)[:-1])
        if len(rows) == count:
            break
    return torch.stack(rows)
