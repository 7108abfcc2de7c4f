import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from datasets import Dataset, load_dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, load_documents, make_blocks, pack_blocks
from pico_maml.trainers.corpus.document_numbers import with_documents
from pico_maml.trainers.corpus.packing import Packer

ROWS = [{"input_ids": list(range(start, start + 1 + start % 7))} for start in range(1, 60)]
PACKED = [{"input_ids": list(range(start, start + 4))} for start in range(0, 120, 3)]


def stream(rows=ROWS, **options) -> BlockStream:
    return BlockStream(Dataset.from_list(rows).to_iterable_dataset(min(4, len(rows))), 3, **options)


def ids(blocks) -> list[list[int]]:
    return [block["input_ids"].tolist() for block in blocks]


def test_each_iteration_starts_at_the_beginning_and_repeats_the_corpus():
    rows = Dataset.from_list([{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}]).to_iterable_dataset()
    once = BlockStream(rows, 2, repeat=False)
    for _ in range(2):
        assert ids(once) == [[1, 2, 3], [3, 4, 5]]
    assert ids(islice(BlockStream(rows, 2), 5)) == [[1, 2, 3], [3, 4, 5]] * 2 + [[1, 2, 3]]


def test_stream_yields_the_blocks_of_the_whole_corpus_and_shuffles_within_windows():
    expected = ids(pack_blocks([with_documents(row, None) for row in ROWS], 3))
    assert ids(stream(repeat=False)) == expected
    shuffled = ids(stream(repeat=False, shuffle_blocks=16, seed=1))
    assert shuffled != expected
    assert sorted(shuffled) == sorted(expected)
    assert sorted(shuffled[:16]) == sorted(expected[:16]), "within windows"
    assert ids(stream(repeat=False, shuffle_blocks=16, seed=2)) != shuffled


@pytest.mark.parametrize("options", [{}, {"shuffle_blocks": 7, "seed": 5}, {"packed": True, "shuffle_blocks": 7}])
def test_resuming_after_any_block_yields_the_same_blocks(options):
    rows = PACKED if "packed" in options else ROWS
    length = len(ids(stream(rows, repeat=False, **options)))
    whole = ids(islice(stream(rows, **options), 3 * length))
    for given in range(0, 2 * length + 2, 3):
        blocks = iter(stream(rows, **options))
        assert ids(islice(blocks, given)) == whole[:given]
        place = json.loads(json.dumps(blocks.state_dict(), default=lambda array: array.tolist()))
        again = iter(stream(rows, **options))
        again.load_state_dict(place)
        assert ids(islice(again, 9)) == whole[given : given + 9], given


@pytest.mark.parametrize("shards", [1, 4])
def test_resuming_with_two_workers_yields_the_same_batches(shards):
    def loader():
        rows = Dataset.from_list(ROWS).to_iterable_dataset(num_shards=shards)
        return StatefulDataLoader(BlockStream(rows, 3, shuffle_blocks=5), batch_size=2, num_workers=2, collate_fn=ids)

    whole = list(islice(loader(), 60))
    for given in (1, 20, 45):
        first = loader()
        assert list(islice(first, given)) == whole[:given]
        place = json.loads(json.dumps(first.state_dict(), default=lambda array: array.tolist()))
        again = loader()
        again.load_state_dict(place)
        assert list(islice(again, 8)) == whole[given : given + 8]


def test_state_saved_right_after_a_resume_is_correct(tmp_path):
    # One document fills many windows, so that after a resume a place is told before the next document is read.
    rows = [{"input_ids": list(range(start, start + 60))} for start in (0, 100, 200)]
    whole = ids(islice(stream(rows), 70))
    place = None
    for given in range(66):
        blocks = iter(stream(rows))
        if place is not None:
            blocks.load_state_dict(place)
        assert ids(islice(blocks, 1)) == whole[given : given + 1]
        place = blocks.state_dict()


def test_resuming_late_reads_no_more_rows_than_resuming_early(tmp_path, monkeypatch):
    for shard in range(12):
        lines = [json.dumps({"input_ids": [shard, i, i]}) for i in range(50)]
        (tmp_path / f"{shard:02}.jsonl").write_text("\n".join(lines))
    seen = []
    add = Packer.add
    monkeypatch.setattr(Packer, "add", lambda packer, row: seen.append(1) or add(packer, row))

    def opened() -> BlockStream:
        return BlockStream(load_documents(str(tmp_path), streaming=True), 2, shuffle_blocks=8)

    cost = {}
    for given in (40, 880):
        blocks = iter(opened())
        list(islice(blocks, given))
        place = blocks.state_dict()
        expected = ids(islice(blocks, 4))
        seen.clear()
        again = iter(opened())
        again.load_state_dict(place)
        assert ids(islice(again, 4)) == expected
        cost[given] = len(seen)
    assert cost[880] <= cost[40] + 8
    assert cost[880] < 20, "a window, of 600 rows"


def test_workers_without_a_share_yield_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"input_ids": [1, 2, 3, 4, 5]}\n')
    documents = load_documents(str(path), streaming=True)
    for size, packed, expected in ((2, False, [[1, 2, 3], [3, 4, 5]]), (4, True, [[1, 2, 3, 4, 5]])):
        blocks = BlockStream(documents, size, packed=packed, repeat=False)
        assert ids(torch.utils.data.DataLoader(blocks, batch_size=None, num_workers=2)) == expected


def test_a_corpus_shorter_than_a_block_is_an_error():
    with pytest.raises(InputError, match="holds 2 tokens, fewer than one block of 4"):
        next(iter(stream([{"input_ids": [1, 2]}])))


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "parquet"])
def test_a_position_in_files_that_an_earlier_version_saved_is_resumed(tmp_path, tokenizer, text, suffix):
    # Earlier versions opened files by load_dataset.
    paths = [str(tmp_path / f"{i}.{suffix}") for i in range(3)]
    for i, path in enumerate(paths):
        texts = text[4 * i : 4 * i + 4]
        if suffix == "parquet":
            Dataset.from_dict({"body": texts}).to_parquet(path)
        else:
            lines = texts if suffix == "txt" else [json.dumps({"body": line}) for line in texts]
            Path(path).write_text(("\n\n" if suffix == "txt" else "\n").join(lines))
    kind = {"txt": "text", "jsonl": "json"}.get(suffix, suffix)
    options = {"sample_by": "paragraph"} if suffix == "txt" else {}
    column = "text" if suffix == "txt" else "body"
    earlier = load_dataset(kind, data_files=paths, split="train", streaming=True, **options).select_columns([column])
    earlier = earlier if column == "text" else earlier.rename_column(column, "text")
    now = load_documents(str(tmp_path), streaming=True, text_column=column)
    before, after = (iter(make_blocks(documents, tokenizer, 5, shuffle_blocks=3)) for documents in (earlier, now))
    list(islice(before, 200))
    after.load_state_dict(json.loads(json.dumps(before.state_dict(), default=lambda array: array.tolist())))
    assert ids(islice(after, 300)) == ids(islice(before, 300))
