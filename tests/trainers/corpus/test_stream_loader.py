"""Several processes get the rows that one process reads."""

import json
import os
import socket
from itertools import islice
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset

from pico_maml.trainers.corpus import BlockStream, load_documents, make_blocks, split_held_out
from pico_maml.trainers.corpus.stream_loader import StreamLoader
from pico_maml.trainers.process_group import leave

BATCHES = 12


def loader(batch_size: int) -> StreamLoader:
    rows = [{"input_ids": [*range(100 * n, 100 * n + n % 13), 0]} for n in range(1, 40)]
    stream = BlockStream(Dataset.from_list(rows).to_iterable_dataset(3), 5, end_of_text=0)
    return StreamLoader(stream, batch_size, torch.device("cpu"), num_workers=0)


def save_batches(rank: int, port: int, folder: Path) -> None:
    """One of two processes: read, and resume in the middle."""
    world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in world.items()} | {"ACCELERATE_USE_CPU": "true"}
    PartialState(cpu=True)
    first = loader(2)
    batches = list(islice(first, BATCHES // 2))
    again = loader(2)
    if rank == 0:
        again.load_state_dict(first.state_dict())
    batches += islice(again, BATCHES // 2)
    torch.save(batches, folder / f"{rank}.pt")
    leave()


def test_two_processes_share_ids_and_documents_of_each_batch_also_after_a_resume(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(save_batches, (port, tmp_path), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for i, batch in enumerate(islice(loader(4), BATCHES)):
        assert batch["document"].shape == batch["input_ids"].shape == (4, 5)
        assert batch["document"].unique().numel() > 1
        for name in ("input_ids", "shift_labels", "document"):
            assert torch.equal(torch.cat([share[i][name] for share in shares]), batch[name]), (i, name)


def test_spawned_data_workers_go_on_where_forked_ones_stopped(tmp_path, tokenizer, text):
    for i, words in enumerate(text[:12]):
        (tmp_path / f"{i}.jsonl").write_text(json.dumps({"body": words}))

    def reader(method: str) -> StreamLoader:
        train, _ = split_held_out(load_documents(str(tmp_path), streaming=True, text_column="body"), 0.2)
        stream = make_blocks(train, tokenizer, 5, shuffle_blocks=3, vocab_size=400)
        return StreamLoader(stream, 2, torch.device("cpu"), num_workers=2, multiprocessing_context=method)

    first, spawned = reader("fork"), reader("spawn")
    batches = iter(first)
    for _ in range(6):
        next(batches)
    spawned.load_state_dict(first.state_dict())
    for one, other in zip(islice(batches, 6), islice(spawned, 6), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
