"""Pack token ids into blocks of one length without losing a token."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .document_numbers import Tokens, own_numbers


class Packer:
    """Concatenates documents and cuts them into blocks of T + 1 ids, with the document of each id beside it.

    Neighbouring blocks share one id, so each token is predicted exactly once. The last block begins with ids of the
    block before: nothing is dropped or padded.

    Args:
        block_size: T, tokens that a block predicts.
        pending: (2, L) int32, ids that are in no block yet and their documents.
        last: (2, T + 1) int32, the block before them.
    """

    def __init__(self, block_size: int, pending: np.ndarray | None = None, last: np.ndarray | None = None) -> None:
        self.block_size = block_size
        self.last = last
        self._parts = [] if pending is None else [pending]
        self._length = sum(part.shape[1] for part in self._parts)

    def add(self, row: Tokens) -> None:
        """Append the token ids of a row, end-of-text included, and their documents."""
        self._parts.append(np.stack([row["input_ids"], row["document"]]))
        self._length += len(row["input_ids"])

    def blocks(self) -> Iterator[Tokens]:
        """Remove and yield the full blocks."""
        while self._length > self.block_size:
            tokens = self.pending
            self.last = tokens[:, : self.block_size + 1]
            self._parts = [tokens[:, self.block_size :]]
            self._length -= self.block_size
            yield _block(self.last)

    def rest(self) -> Tokens | None:
        """The last block, or None if every id is in a block; InputError if there never was a whole block."""
        if self.last is None:
            raise InputError(
                f"the corpus holds {self._length} tokens, fewer than one block of {self.block_size + 1}: "
                "add text or lower block_size"
            )
        if self._length < 2:
            return None
        return _block(np.concatenate([self.last[:, :-1], self.pending], axis=1)[:, -self.block_size - 1 :])

    @property
    def pending(self) -> np.ndarray:
        """(2, L) ids that are in no block yet, after the last id of the block before, and their documents."""
        if len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate(self._parts, axis=1) if self._parts else np.empty((2, 0), np.int32)


def pack_blocks(rows: Iterable[Tokens], block_size: int) -> Iterator[Tokens]:
    """Yield all blocks of rows (see `Packer`); InputError if together they are shorter than one block."""
    packer = Packer(block_size)
    for row in rows:
        packer.add(row)
        yield from packer.blocks()
    rest = packer.rest()
    if rest is not None:
        yield rest


def collate_blocks(rows: list[dict]) -> dict[str, Tensor]:
    """Stack blocks of T + 1 ids into the model's `input_ids` and `shift_labels`, both (B, T) int64.

    If the rows have it, `document` is the document of each of `input_ids`, (B, T) int64, and `source` the source of
    each row of a mixture, (B,) int64.
    """
    blocks = [np.asarray(row["input_ids"]) for row in rows]
    lengths = sorted({len(block) for block in blocks})
    if len(lengths) > 1:
        raise InputError(f"blocks of {lengths[0]} and of {lengths[-1]} ids in one batch: make them of one length")
    ids = torch.as_tensor(np.stack(blocks), dtype=torch.long)
    batch = {"input_ids": ids[:, :-1], "shift_labels": ids[:, 1:]}
    if "document" in rows[0]:
        documents = torch.as_tensor(np.stack([np.asarray(row["document"]) for row in rows]), dtype=torch.long)
        batch["document"] = documents[:, :-1]
    if "source" in rows[0]:
        batch["source"] = torch.tensor([row["source"] for row in rows])
    return batch


def first_blocks(rows: Iterable[dict], count: int) -> tuple[Tensor, Tensor]:
    """Read up to `count` blocks: their ids and the documents of these, both (R, T + 1) int64.

    Where rows do not have the column `document`, each is a document of its own.

    Raises:
        InputError: there are no blocks.
    """
    blocks = list(islice(iter(rows), count))
    if not blocks:
        raise InputError("the corpus holds no block: add text")
    ids = torch.as_tensor(np.stack([np.asarray(row["input_ids"]) for row in blocks]), dtype=torch.long)
    if "document" not in blocks[0]:
        return ids, own_numbers(ids[:, :-1])[:, :1].expand_as(ids)
    return ids, torch.as_tensor(np.stack([np.asarray(row["document"]) for row in blocks]), dtype=torch.long)


def _block(tokens: np.ndarray) -> Tokens:
    return {"input_ids": tokens[0], "document": tokens[1]}
