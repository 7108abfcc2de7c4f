"""A corpus that is read while training and can be resumed at any block."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import IterableDataset

from ..errors import InputError
from .document_numbers import Tokens, with_documents
from .packing import Packer


class BlockStream(torch.utils.data.IterableDataset):
    """Blocks packed while rows of `input_ids` are read; see `Packer`.

    With several data workers each packs its own share of the shards; a worker without a share yields nothing.

    Args:
        documents: rows of `input_ids`, and of `document` where that is known (see `with_documents`).
        block_size: T, tokens that a block predicts.
        packed: the rows are blocks of T + 1 ids already.
        repeat: start again at the end of the corpus, instead of stopping.
        shuffle_blocks: blocks that are read ahead and yielded in random order (1: the order of the corpus).
        seed: of that order.
        end_of_text: the token id at which a document ends in rows without `document` (None: at the end of a row).
        vocab_size: token ids must be below it (None: not checked).
    """

    def __init__(
        self,
        documents: IterableDataset,
        block_size: int,
        packed: bool = False,
        repeat: bool = True,
        shuffle_blocks: int = 1,
        seed: int = 0,
        end_of_text: int | None = None,
        vocab_size: int | None = None,
    ) -> None:
        self.documents = documents
        self.block_size = block_size
        self.packed = packed
        self.repeat = repeat
        self.shuffle_blocks = shuffle_blocks
        self.seed = seed
        self.end_of_text = end_of_text
        self.vocab_size = vocab_size

    def __iter__(self) -> "BlockIterator":
        return BlockIterator(self)

    def once(self) -> "BlockStream":
        """The same text in its order, once."""
        return BlockStream(self.documents, self.block_size, self.packed, False, end_of_text=self.end_of_text)


class BlockIterator:
    """Iterates over a `BlockStream`; resuming from its `state_dict` reads at most one window and one shard again.

    The corpus is read in windows of `shuffle_blocks`. The state is the position at which a window starts (pass,
    row, and ids that are in no block yet with their documents) and the number of its blocks that were yielded.
    """

    def __init__(self, stream: BlockStream) -> None:
        self.stream = stream
        worker = torch.utils.data.get_worker_info()
        self.worker = 0 if worker is None else worker.id
        self.in_worker = worker is not None
        self._seek({"pass": 0, "documents": None, "pending": [], "last": None})
        self.window, self.given = -1, 0
        self.start = self._position()
        self.order: list[Tokens] = []

    def __iter__(self) -> "BlockIterator":
        return self

    def __next__(self) -> Tokens:
        if self.given == len(self.order):
            self._read_window(self.window + 1)
        self.given += 1
        return self.order[self.given - 1]

    def state_dict(self) -> dict[str, Any]:
        """The position after the last block."""
        return {"start": self.start, "window": self.window, "given": self.given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a position."""
        self._seek(state["start"])
        self.window, self.given, self.order = state["window"], 0, []
        self.start = state["start"]
        if self.window >= 0:
            self._read_window(self.window)
            self.given = state["given"]

    def _read_window(self, number: int) -> None:
        start = self._position()
        blocks = list(islice(self.blocks, self.stream.shuffle_blocks))
        if not blocks:
            raise StopIteration
        order = np.random.default_rng([self.stream.seed, self.worker, number]).permutation(len(blocks))
        self.start, self.window, self.given = start, number, 0
        self.order = [blocks[i] for i in order]

    def _seek(self, position: dict[str, Any]) -> None:
        packer = Packer(self.stream.block_size, self._tokens(position, "pending"), self._tokens(position, "last"))
        self._open(position["pass"], packer, position["documents"])
        self.blocks = self._read()

    def _tokens(self, position: dict[str, Any], name: str) -> np.ndarray | None:
        """The (2, L) ids and documents of a position; one of an earlier version has ids alone."""
        if position[name] is None:
            return None
        row = {"input_ids": position[name], "document": position.get(f"{name}_document")}
        return np.stack(list(with_documents(row, self.stream.end_of_text).values()))

    def _open(self, passes: int, packer: Packer, documents_state: dict[str, Any] | None) -> None:
        self.passes, self.packer = passes, packer
        # A copy, because a data set stores its position while it is read.
        self.documents = deepcopy(self.stream.documents)
        # A data set knows its position only once a row was read; before, it is the one it was opened at.
        self.reading, self.opened_at = False, documents_state
        if documents_state is not None:
            self.documents.load_state_dict(documents_state)

    def _position(self) -> dict[str, Any]:
        pending, last = self.packer.pending, self.packer.last
        return {
            "pass": self.passes,
            "documents": self.documents.state_dict() if self.reading else self.opened_at,
            "pending": pending[0],
            "pending_document": pending[1],
            "last": None if last is None else last[0],
            "last_document": None if last is None else last[1],
        }

    def _read(self) -> Iterator[Tokens]:
        """Yield blocks from the current position on."""
        while self.stream.repeat or not self.passes:
            yield from self.packer.blocks()
            for row in self.documents:
                self.reading = True
                tokens = with_documents(row, self.stream.end_of_text, self.stream.vocab_size)
                if self.stream.packed:
                    if (length := len(tokens["input_ids"])) != self.stream.block_size + 1:
                        raise InputError(
                            f"a row of the corpus has {length} ids, but the first is a block of "
                            f"{self.stream.block_size + 1}: prepare the corpus again, or set another block_size"
                        )
                    yield tokens
                    continue
                self.packer.add(tokens)
                yield from self.packer.blocks()
            no_share = not self.reading and self.opened_at is None
            if no_share or (self.in_worker and self.packer.last is None and not self.stream.packed):
                return  # a worker without a share, or whose share fills no block
            rest = None if self.stream.packed else self.packer.rest()
            # Open the next pass first, so that the position after `rest` is its start.
            self._open(self.passes + 1, Packer(self.stream.block_size), None)
            if rest is not None:
                yield rest
