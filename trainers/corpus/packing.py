"""Pack token ids into blocks of one length without losing a token."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


class Packer:
    """Concatenates documents and cuts them into blocks of T + 1 ids.

    Neighbouring blocks share one id, so each token is predicted exactly once. The last block begins with ids of the
    block before: nothing is dropped or padded.

    Args:
        block_size: T, tokens that a block predicts.
        pending: ids that are in no block yet.
        last: the block before them.
    """

    def __init__(self, block_size: int, pending: np.ndarray | None = None, last: np.ndarray | None = None) -> None:
        self.block_size = block_size
        self.last = last
        self._parts = [] if pending is None else [pending]
        self._length = sum(map(len, self._parts))

    def add(self, document: list[int] | np.ndarray) -> None:
        """Append the token ids of a document, end-of-text included."""
        self._parts.append(np.asarray(document, dtype=np.int32))
        self._length += len(document)

    def blocks(self) -> Iterator[np.ndarray]:
        """Remove and yield the full blocks, int32 of shape (T + 1,)."""
        while self._length > self.block_size:
            ids = self.pending
            self.last = ids[: self.block_size + 1]
            self._parts = [ids[self.block_size :]]
            self._length -= self.block_size
            yield self.last

    def rest(self) -> np.ndarray | None:
        """The last block, or None if every id is in a block; InputError if there never was a whole block."""
        if self.last is None:
            raise InputError(
                f"the corpus holds {self._length} tokens, fewer than one block of {self.block_size + 1}: "
                "add text or lower block_size"
            )
        if self._length < 2:
            return None
        return np.concatenate([self.last[:-1], self.pending])[-self.block_size - 1 :]

    @property
    def pending(self) -> np.ndarray:
        """Ids that are in no block yet, after the last id of the block before."""
        if len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int32)


def pack_blocks(documents: Iterable[list[int] | np.ndarray], block_size: int) -> Iterator[np.ndarray]:
    """Yield all blocks of documents (see `Packer`); InputError if together they are shorter than one block."""
    packer = Packer(block_size)
    for document in documents:
        packer.add(document)
        yield from packer.blocks()
    rest = packer.rest()
    if rest is not None:
        yield rest


def collate_blocks(rows: list[dict]) -> dict[str, Tensor]:
    """Stack blocks of T + 1 ids into the model's `input_ids` and `shift_labels`, both (B, T) int64."""
    blocks = [np.asarray(row["input_ids"]) for row in rows]
    lengths = sorted({len(block) for block in blocks})
    if len(lengths) > 1:
        raise InputError(f"blocks of {lengths[0]} and of {lengths[-1]} ids in one batch: make them of one length")
    ids = torch.as_tensor(np.stack(blocks), dtype=torch.long)
    return {"input_ids": ids[:, :-1], "shift_labels": ids[:, 1:]}
