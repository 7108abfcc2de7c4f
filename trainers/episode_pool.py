"""The latest blocks of text: the pool that episodes are drawn from, because a micro-batch alone may be too small."""

from collections import deque
from typing import NamedTuple

import torch
from accelerate.utils import gather
from torch import Tensor

from .corpus.document_numbers import own_numbers
from .episodes import Examples
from .meta.episode_model import on_all_ranks
from .process_group import gather_on_hosts, rank, world_size


class EpisodePool:
    """The latest micro-batches (B, T) of each process; they are gathered only when an episode is drawn.

    It has room for `blocks` blocks over all processes, rounded up to whole micro-batches.
    """

    def __init__(self, blocks: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self.global_batch = batch_size * world_size()
        self._batches: deque[_Batch] = deque(maxlen=-(-blocks // self.global_batch))

    @property
    def capacity(self) -> int:
        """Blocks of a full pool over all processes."""
        return (self._batches.maxlen or 0) * self.global_batch

    def push(self, input_ids: Tensor, documents: Tensor | None = None, states: Tensor | None = None) -> None:
        """Add this process's micro-batch (B, T), the documents of its tokens (B, T) and its last states (B, T, D).

        All but the states are on the CPU. Without `documents` each block is a document of its own. A full pool drops
        the oldest.
        """
        self._batches.append(_Batch(input_ids, own_numbers(input_ids) if documents is None else documents, states))

    def fill(self, blocks: Tensor, documents: Tensor | None = None, states: Tensor | None = None) -> None:
        """Fill the pool with the last of `blocks` (R, T) in global order; too few without states are repeated."""
        self._batches.clear()
        rows = self.capacity if states is None else min(len(blocks), self.capacity)
        order = torch.arange(max(len(blocks) - rows, 0), max(len(blocks), rows)) % len(blocks)
        for batch in order.split(self.global_batch):
            mine = batch[rank() * self.batch_size :][: self.batch_size]
            self.push(
                blocks[mine],
                None if documents is None else documents[mine],
                None if states is None else states[mine],
            )

    def all_blocks(self) -> Tensor:
        """Gather the (R, T) blocks of all processes, in the order a single process would have read them."""
        return _in_global_order(gather_on_hosts(torch.stack([batch.ids for batch in self._batches])[None]))

    def all_documents(self) -> Tensor:
        """Gather the (R, T) document numbers of `all_blocks`."""
        return _in_global_order(gather_on_hosts(torch.stack([batch.documents for batch in self._batches])[None]))

    def all_states(self) -> Tensor:
        """Gather the (R, T, D) states of all processes on their device, in the order of `all_blocks`."""
        return _in_global_order(gather(torch.stack(self._states())[None].contiguous()))

    def read_states(self, examples: Examples) -> Tensor:
        """Read the states of M examples in the rows of `all_blocks`: (M, D) in fp32, complete on every process."""
        states = torch.stack(self._states())  # (batches, B, T, D)
        batch, row = examples.rows // self.global_batch, examples.rows % self.global_batch
        mine = row // self.batch_size == rank()
        read = states[batch, row % self.batch_size, examples.positions].float()
        return on_all_ranks(torch.where(mine[:, None], read, 0))

    def __len__(self) -> int:
        return len(self._batches) * self.global_batch

    def _states(self) -> list[Tensor]:
        return [batch.states for batch in self._batches if batch.states is not None]


class _Batch(NamedTuple):
    ids: Tensor
    documents: Tensor
    states: Tensor | None


def _in_global_order(by_rank: Tensor) -> Tensor:
    """The (W, M, B, ...) micro-batches of W processes as (M * W * B, ...) rows."""
    return by_rank.transpose(0, 1).flatten(0, 2)
