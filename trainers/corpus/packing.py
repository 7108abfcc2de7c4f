"""Packing token ids into fixed blocks without losing a token."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


def pack_blocks(documents: Iterable[Sequence[int] | np.ndarray], block_size: int) -> Iterator[np.ndarray]:
    """Concatenate documents and cut them into blocks of `block_size` + 1 ids.

    Neighbouring blocks share one id, so each token is predicted exactly once. The last block is filled from the
    left with ids seen before: nothing is dropped and nothing is padded.

    Args:
        documents: token ids, end-of-text included.
        block_size: T, tokens a block predicts.

    Yields:
        int32 arrays of shape (T + 1,).

    Raises:
        InputError: all documents together are shorter than one block.
    """
    width = block_size + 1
    pending: list[np.ndarray] = []
    length, last = 0, None
    for document in documents:
        pending.append(np.asarray(document, dtype=np.int32))
        length += len(document)
        if length < width:
            continue
        ids = np.concatenate(pending)
        start = 0
        while start + width <= len(ids):
            last = ids[start : start + width]
            yield last
            start += block_size
        pending, length = [ids[start:]], len(ids) - start
    rest = np.concatenate(pending) if pending else np.empty(0, np.int32)
    if last is None:
        raise InputError(
            f"the corpus holds {len(rest)} tokens, fewer than one block of {width}: give more text or lower block_size"
        )
    if len(rest) > 1:
        yield np.concatenate([last[:-1], rest])[-width:]


class BlockStream(torch.utils.data.IterableDataset):
    """Blocks made on the fly from rows of `input_ids`; see `pack_blocks`. Starts again at the end of the corpus.

    With several data workers each packs its own share of the shards; a worker without a share yields nothing.

    Args:
        documents: rows of `input_ids`, iterable as often as one likes.
        block_size: T, tokens a block predicts.
        packed: the rows are blocks of T + 1 ids already.
        repeat: start again at the end; else stop there.
    """

    def __init__(self, documents: Iterable[dict], block_size: int, packed: bool = False, repeat: bool = True) -> None:
        self.documents = documents
        self.block_size = block_size
        self.packed = packed
        self.repeat = repeat

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        while True:
            rows = (row["input_ids"] for row in self.documents)
            blocks = map(np.asarray, rows) if self.packed else pack_blocks(rows, self.block_size)
            try:
                for block in blocks:
                    yield {"input_ids": block}
            except InputError:
                if torch.utils.data.get_worker_info() is None:
                    raise
                return
            if not self.repeat:
                return


def collate_blocks(rows: list[dict]) -> dict[str, Tensor]:
    """Stack blocks of T + 1 ids into what the model takes: `input_ids` and `shift_labels`, both (B, T) int64.

    Raises:
        InputError: blocks of different lengths.
    """
    blocks = [np.asarray(row["input_ids"]) for row in rows]
    lengths = sorted({len(block) for block in blocks})
    if len(lengths) > 1:
        raise InputError(f"blocks of {lengths[0]} and of {lengths[-1]} ids in one batch: give blocks of one length")
    ids = torch.as_tensor(np.stack(blocks), dtype=torch.long)
    return {"input_ids": ids[:, :-1], "shift_labels": ids[:, 1:]}
