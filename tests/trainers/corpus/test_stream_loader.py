"""Several processes get the rows that one process reads, of one corpus and of a mixture."""

import json
from itertools import islice

import forked
import torch
from stream_batches import BATCHES, loader, mixed_loader, save_batches

from pico_maml.trainers.corpus import load_documents, make_blocks, split_held_out
from pico_maml.trainers.corpus.stream_loader import StreamLoader


def test_two_processes_share_ids_and_documents_of_each_batch_also_after_a_resume(tmp_path):
    forked.run(save_batches, tmp_path, log=tmp_path / "log", processes=2)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    mixed = list(mixed_loader(4))
    batches = [*islice(loader(4), BATCHES), *mixed]
    assert len(shares[0]) == len(shares[1]) == len(batches) > BATCHES
    for batch in mixed:
        assert torch.equal(batch["source"], (batch["input_ids"].amax(1) >= 9000).long())
    for i, batch in enumerate(batches):
        assert batch["document"].shape == batch["input_ids"].shape == (4, 5)
        assert batch["document"].unique().numel() > 1
        for name in batch:
            assert torch.equal(torch.cat([share[i][name] for share in shares]), batch[name]), (i, name)


def test_spawned_data_workers_go_on_where_forked_ones_stopped(tmp_path, tokenizer, text):
    for i, words in enumerate(text[:12]):
        (tmp_path / f"{i}.jsonl").write_text(json.dumps({"body": words}))

    def reader(method: str) -> StreamLoader:
        train, _ = split_held_out(load_documents(str(tmp_path), streaming=True, text_column="body"), 0.2)
        stream = make_blocks(train, tokenizer, 5, shuffle_blocks=3, vocab_size=400)
        return StreamLoader(stream, 2, num_workers=2, multiprocessing_context=method)

    first, spawned = reader("fork"), reader("spawn")
    batches = iter(first)
    for _ in range(6):
        next(batches)
    spawned.load_state_dict(first.state_dict())
    for one, other in zip(islice(batches, 6), islice(spawned, 6), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
