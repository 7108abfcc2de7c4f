"""A corpus that is read while training, from any place in it."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import IterableDataset

from .packing import Packer


class BlockStream(torch.utils.data.IterableDataset):
    """Blocks made on the fly from rows of `input_ids`; see `Packer`. Starts again at the end of the corpus.

    With several data workers each packs its own share of the shards; a worker without a share yields nothing.

    Args:
        documents: rows of `input_ids`.
        block_size: T, tokens a block predicts.
        packed: the rows are blocks of T + 1 ids already.
        repeat: start again at the end; else stop there.
        shuffle_blocks: blocks that are read ahead and given in random order (1: the order of the corpus).
        seed: of that order.
    """

    def __init__(
        self,
        documents: IterableDataset,
        block_size: int,
        packed: bool = False,
        repeat: bool = True,
        shuffle_blocks: int = 1,
        seed: int = 0,
    ) -> None:
        self.documents = documents
        self.block_size = block_size
        self.packed = packed
        self.repeat = repeat
        self.shuffle_blocks = shuffle_blocks
        self.seed = seed

    def __iter__(self) -> "BlockIterator":
        return BlockIterator(self)


class BlockIterator:
    """Iterates a `BlockStream`; `state_dict` is a place to go on from, which costs no more than a window and a shard.

    The corpus is read in windows of `shuffle_blocks`. A place is where a window starts (in which pass and document,
    with the ids that no block holds yet) and how many of its blocks were given.
    """

    def __init__(self, stream: BlockStream) -> None:
        self.stream = stream
        worker = torch.utils.data.get_worker_info()
        self.worker = 0 if worker is None else worker.id
        self.in_worker = worker is not None
        self._go_to({"pass": 0, "documents": None, "pending": [], "last": None})
        self.window, self.given = -1, 0
        self.start = self._place()
        self.order: list[dict[str, np.ndarray]] = []

    def __iter__(self) -> "BlockIterator":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self.given == len(self.order):
            self._read_window(self.window + 1)
        self.given += 1
        return self.order[self.given - 1]

    def state_dict(self) -> dict[str, Any]:
        """The place after the block given last."""
        return {"start": self.start, "window": self.window, "given": self.given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a place."""
        self._go_to(state["start"])
        self.window, self.given, self.order = state["window"], 0, []
        self.start = state["start"]
        if self.window >= 0:
            self._read_window(self.window)
            self.given = state["given"]

    def _read_window(self, number: int) -> None:
        start = self._place()
        blocks = [{"input_ids": block} for block in islice(self.blocks, self.stream.shuffle_blocks)]
        if not blocks:
            raise StopIteration
        order = np.random.default_rng([self.stream.seed, self.worker, number]).permutation(len(blocks))
        self.start, self.window, self.given = start, number, 0
        self.order = [blocks[i] for i in order]

    def _go_to(self, place: dict[str, Any]) -> None:
        self.passes = place["pass"]
        last = None if place["last"] is None else np.asarray(place["last"], dtype=np.int32)
        self.packer = Packer(self.stream.block_size, np.asarray(place["pending"], dtype=np.int32), last)
        # Iterating leaves its place behind in a data set, and copies that share parts would share it.
        self.documents = deepcopy(self.stream.documents)
        # A data set tells its place only once it is being read.
        self.reading, self.gone_to = False, place["documents"]
        if self.gone_to is not None:
            self.documents.load_state_dict(self.gone_to)
        self.blocks = self._read()

    def _place(self) -> dict[str, Any]:
        return {
            "pass": self.passes,
            "documents": self.documents.state_dict() if self.reading else self.gone_to,
            "pending": self.packer.pending,
            "last": self.packer.last,
        }

    def _read(self) -> Iterator[np.ndarray]:
        """Blocks from where the packer and the documents are."""
        while True:
            yield from self.packer.blocks()
            for row in self.documents:
                self.reading = True
                if self.stream.packed:
                    yield np.asarray(row["input_ids"], dtype=np.int32)
                    continue
                self.packer.add(row["input_ids"])
                yield from self.packer.blocks()
            nothing = not self.reading and self.gone_to is None
            if nothing or (self.in_worker and self.packer.last is None and not self.stream.packed):
                return  # a worker without a share, or whose share fills no block
            rest = None if self.stream.packed else self.packer.rest()
            # From here the place is the start of the next pass.
            self.packer = Packer(self.stream.block_size)
            self.documents, self.reading, self.gone_to = deepcopy(self.stream.documents), False, None
            self.passes += 1
            if rest is not None:
                yield rest
            if not self.stream.repeat:
                return
