"""What other processes read of a stream. A spawned one finds no function of a test file."""

import os
from itertools import islice
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset, IterableDataset

from pico_maml.trainers.corpus import BlockStream, MixedStream
from pico_maml.trainers.corpus.mixture import FIRST
from pico_maml.trainers.corpus.stream_loader import StreamLoader
from pico_maml.trainers.process_group import leave

BATCHES = 12


def loader(batch_size: int) -> StreamLoader:
    """A loader of blocks of five ids."""
    rows = [{"input_ids": [*range(100 * n, 100 * n + n % 13), 0]} for n in range(1, 40)]
    stream = BlockStream(Dataset.from_list(rows).to_iterable_dataset(3), 5, end_of_text=0)
    return StreamLoader(stream, batch_size, num_workers=0)


def first_texts(documents: IterableDataset, count: int) -> list[str]:
    """The texts of the first rows."""
    return [row["text"] for row in islice(documents, count)]


def mixed_loader(batch_size: int) -> StreamLoader:
    """Of a mixture that ends after some batches."""

    def source(first: int, documents: int) -> BlockStream:
        rows = [{"input_ids": [*range(first + 20 * n, first + 20 * n + 9), 0]} for n in range(documents)]
        return BlockStream(Dataset.from_list(rows).to_iterable_dataset(), 5, repeat=False, end_of_text=0)

    mixture = MixedStream({"a": source(100, 20), "b": source(9000, 8)}, [0.6, 0.4], FIRST, 3)
    return StreamLoader(mixture, batch_size, num_workers=0)


def save_batches(folder: Path) -> None:
    """One of two processes: read, and resume in the middle."""
    os.environ["ACCELERATE_USE_CPU"] = "true"
    rank = PartialState(cpu=True).process_index
    first = loader(2)
    batches = list(islice(first, BATCHES // 2))
    again = loader(2)
    if rank == 0:
        again.load_state_dict(first.state_dict())
    batches += islice(again, BATCHES // 2)
    mixture = mixed_loader(2)
    batches += list(mixture)
    assert mixture.ended, "on every process"
    again = mixed_loader(2)
    if rank == 0:
        again.load_state_dict(mixture.state_dict())
    assert list(again) == [], "the end is a place too"
    torch.save(batches, folder / f"{rank}.pt")
    leave()
