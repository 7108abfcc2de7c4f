"""Blocks of several corpora in given shares: memory-mapped, and a stream that can be resumed at any block."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from ..errors import InputError
from .stream import BlockIterator, BlockStream

logger = logging.getLogger(__name__)

# When a pass over a mixture ends, in the terms of `datasets.interleave_datasets`.
FIRST, ALL = "first_exhausted", "all_exhausted"
# Sources that a stream draws at a time.
DRAWS = 1024


def weights_by_size(sizes: Sequence[int], temperature: float) -> list[float]:
    """Return shares proportional to size^(1/temperature): 1 is in proportion to size, infinity equal shares."""
    logs = np.log(sizes) / temperature
    powers = np.exp(logs - logs.max())
    return list(powers / powers.sum())


class MixedBlocks(torch.utils.data.Dataset):
    """One pass over the blocks of several corpora, which a trainer shuffles.

    As `datasets.interleave_datasets` with probabilities, but the shares of a pass are exact instead of drawn, and the
    sources need not be stored in the same way. Rows are those of the sources with their number in `source`. If not
    all blocks of a source are read in a pass, they are taken at even distances.

    Args:
        sources: the blocks of each source by its name.
        weights: the share of each in the blocks, in that order; they sum to 1.
        stop: `first_exhausted` ends the pass with the first source that ends; `all_exhausted` with the last one, and
            the others are repeated until then.
    """

    def __init__(self, sources: Mapping[str, Dataset], weights: Sequence[float], stop: str) -> None:
        self.names, self.sources = list(sources), list(sources.values())
        self.ends = stop == FIRST  # whether training ends with the pass
        lengths = [len(blocks) / weight for blocks, weight in zip(self.sources, weights, strict=True)]
        self.last = self.names[int(np.argmin(lengths) if self.ends else np.argmax(lengths))]  # ends the pass
        length = min(lengths) if self.ends else max(lengths)
        counts = [max(round(length * weight), 1) for weight in weights]
        # Each source at even distances, so that the start of the pass has the same shares.
        order = np.argsort(np.concatenate([(np.arange(n) + 0.5) / n for n in counts]), kind="stable")
        self._source = np.repeat(np.arange(len(counts), dtype=np.int16), counts)[order]
        rows = [_rows(len(blocks), n) for blocks, n in zip(self.sources, counts, strict=True)]
        self._row = np.concatenate(rows)[order]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        source = int(self._source[index])  # IndexError after the last, by which an iteration ends
        return self.sources[source][int(self._row[index])] | {"source": source}


def _rows(blocks: int, count: int) -> np.ndarray:
    """Which of a source's blocks `count` entries of a pass are."""
    numbers = np.arange(count)
    return numbers * blocks // count if count <= blocks else numbers % blocks


class MixedStream(torch.utils.data.IterableDataset):
    """Blocks of several streams; each is drawn from one of them, by their weights.

    Args:
        sources: the stream of each source by its name.
        weights: the probability of each, in that order; they sum to 1.
        stop: `first_exhausted` ends with the first source that ends, and `all_exhausted` with the last one; with the
            second, sources that repeat never end.
        seed: of the draws.
    """

    def __init__(self, sources: Mapping[str, BlockStream], weights: Sequence[float], stop: str, seed: int) -> None:
        self.names, self.sources = list(sources), list(sources.values())
        self.weights = list(weights)
        self.stop = stop
        self.seed = seed
        self.ends = stop == FIRST
        self.block_size = self.sources[0].block_size

    def __iter__(self) -> "MixedIterator":
        return MixedIterator(self)

    def once(self) -> "MixedStream":
        """The text of every source, once."""
        sources = [source.once() for source in self.sources]
        return MixedStream(dict(zip(self.names, sources, strict=True)), self.weights, ALL, self.seed)

    def check_workers(self, workers: int) -> None:
        """Raise InputError if a data worker would get no file of some source, and so another mixture."""
        for name, source in zip(self.names, self.sources, strict=True):
            files = source.documents.num_shards
            if workers > files:
                raise InputError(
                    f"dataloader_num_workers is {workers}, but the source {name!r} has {files} "
                    f"file{'s' * (files != 1)}, of which each worker needs one: lower it, or split the source"
                )


class MixedIterator:
    """Iterates over a `MixedStream`; its state is the position in each source and the number of draws."""

    def __init__(self, stream: MixedStream) -> None:
        self.stream = stream
        self.sources = [BlockIterator(source) for source in stream.sources]
        self.drawn = 0
        self._window: tuple[int, np.ndarray] | None = None

    def __iter__(self) -> "MixedIterator":
        return self

    def __next__(self) -> dict[str, Any]:
        ended: set[int] = set()
        while len(ended) < len(self.sources):
            source = self._draw()
            block = None if source in ended else self._next_of(source)
            if block is not None:
                return {**block, "source": source}
            if self.stream.ends:
                logger.warning(f"the source {self.stream.names[source]!r} has ended, and with it the mixture")
                break
            ended.add(source)
        raise StopIteration

    def state_dict(self) -> dict[str, Any]:
        """The position after the last block."""
        return {"drawn": self.drawn, "sources": [source.state_dict() for source in self.sources]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a position."""
        self.drawn = state["drawn"]
        for source, position in zip(self.sources, state["sources"], strict=True):
            source.load_state_dict(position)

    def _draw(self) -> int:
        """The number of the next source, which depends on the seed, the worker and the number of draws before."""
        window = self.drawn // DRAWS
        if self._window is None or self._window[0] != window:
            generator = np.random.default_rng([self.stream.seed, self.sources[0].worker, window])
            self._window = window, generator.choice(len(self.sources), DRAWS, p=self.stream.weights)
        self.drawn += 1
        return int(self._window[1][(self.drawn - 1) % DRAWS])

    def _next_of(self, source: int) -> dict[str, Any] | None:
        """The next block of a source; None after its end."""
        name = self.stream.names[source]
        try:
            block = next(self.sources[source], None)
        except InputError as error:
            raise InputError(f"source {name!r}: {error}") from error
        if block is None and self.stream.sources[source].repeat:
            raise InputError(
                f"source {name!r}: the share of a data worker fills no block: lower dataloader_num_workers or "
                "block_size"
            )
        return block


def mix_blocks(
    sources: Mapping[str, Dataset | BlockStream],
    weights: Sequence[float] | None,
    temperature: float,
    stop: str,
    seed: int,
) -> MixedBlocks | MixedStream:
    """Mix the blocks of several corpora, all memory-mapped or all streamed.

    Args:
        sources: the blocks of each source by its name.
        weights: the share of each, in that order, as any positive numbers; None for shares by size.
        temperature: of shares by size (see `weights_by_size`).
        stop: see `MixedBlocks` and `MixedStream`.
        seed: of a stream's draws.

    Raises:
        InputError: there are no weights, but the sources are streamed.
    """
    streams = {name: blocks for name, blocks in sources.items() if isinstance(blocks, BlockStream)}
    mapped = {name: blocks for name, blocks in sources.items() if isinstance(blocks, Dataset)}
    if weights is None:
        if streams:
            raise InputError("a streamed corpus has no known size: give every source of the mixture a weight")
        shares = weights_by_size([len(blocks) for blocks in mapped.values()], temperature)
    else:
        shares = [weight / sum(weights) for weight in weights]
    return MixedStream(streams, shares, stop, seed) if streams else MixedBlocks(mapped, shares, stop)
