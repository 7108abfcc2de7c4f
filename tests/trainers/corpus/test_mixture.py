"""Mixtures of corpora: shares, ends, and streams that resume at any block."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from datasets import Dataset

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, MixedBlocks, MixedStream, mix_blocks
from pico_maml.trainers.corpus.mixture import ALL, FIRST, weights_by_size


def blocks(first: int, count: int) -> Dataset:
    """Blocks that all differ."""
    rows = [[first + i] * 5 for i in range(count)]
    return Dataset.from_dict({"input_ids": rows, "document": rows}).with_format("numpy")


def stream(first: int, documents: int, repeat: bool = True, shards: int = 1) -> BlockStream:
    rows = [{"input_ids": [*range(first + 20 * i, first + 20 * i + 3 + i % 5), 0]} for i in range(documents)]
    source = Dataset.from_list(rows).to_iterable_dataset(shards)
    return BlockStream(source, 4, repeat=repeat, shuffle_blocks=3, seed=5, end_of_text=0)


def mixed_stream(stop: str = ALL, seed: int = 1) -> MixedStream:
    sources = {"a": stream(100, 40, stop == ALL), "b": stream(5000, 12, stop == ALL)}
    return MixedStream(sources, [0.75, 0.25], stop, seed)


def ids(rows) -> list[tuple]:
    return [(row["source"], *row["input_ids"].tolist()) for row in rows]


def test_temperature_goes_from_shares_by_size_to_equal_ones():
    assert weights_by_size([900, 100], 1) == pytest.approx([0.9, 0.1])
    assert weights_by_size([900, 100], 2) == pytest.approx([0.75, 0.25])
    assert weights_by_size([900, 100], float("inf")) == [0.5, 0.5]


def test_first_exhausted_ends_a_pass_with_the_source_that_ends_first_and_repeats_nothing():
    mixed = MixedBlocks({"a": blocks(0, 100), "b": blocks(1000, 20)}, [0.5, 0.5], FIRST)
    rows = [(row["source"], int(row["input_ids"][0])) for row in mixed]
    assert (len(mixed), mixed.last, mixed.ends) == (40, "b", True)
    assert len(set(rows)) == 40
    assert sorted(row for row in rows if row[0]) == [(1, 1000 + i) for i in range(20)]
    assert sorted(row for row in rows if not row[0]) == [(0, 5 * i) for i in range(20)], "from all over the source"


def test_all_exhausted_reads_every_block_and_repeats_what_ends_early():
    mixed = MixedBlocks({"a": blocks(0, 100), "b": blocks(1000, 20)}, [0.5, 0.5], ALL)
    counts = Counter(int(row["input_ids"][0]) for row in mixed)
    assert (len(mixed), mixed.last, mixed.ends) == (200, "a", False)
    assert counts == dict.fromkeys(range(100), 1) | dict.fromkeys(range(1000, 1020), 5)


@pytest.mark.parametrize("stop", [FIRST, ALL])
def test_the_start_of_a_pass_has_the_shares_of_the_whole(stop):
    mixed = MixedBlocks({"a": blocks(0, 70), "b": blocks(100, 90), "c": blocks(200, 7)}, [0.7, 0.2, 0.1], stop)
    for start in range(0, len(mixed) - 19, 20):
        assert [Counter(mixed[i]["source"] for i in range(start, start + 20))[n] for n in range(3)] == [14, 4, 2]
    assert [sum(mixed._source == n) / len(mixed) for n in range(3)] == pytest.approx([0.7, 0.2, 0.1], abs=0.01)


def test_weights_need_not_sum_to_one_and_sizes_take_their_place():
    sources = {"a": blocks(0, 90), "b": blocks(1000, 10)}
    for weights, share in (([6, 2], 0.75), (None, 0.9)):
        mixed = mix_blocks(sources, weights, 1.0, FIRST, 0)
        assert np.mean(mixed._source == 0) == pytest.approx(share, abs=0.02)
    with pytest.raises(InputError, match="give every source of the mixture a weight"):
        mix_blocks({"a": stream(100, 3), "b": stream(200, 3)}, None, 1.0, ALL, 0)


def test_a_stream_has_the_blocks_of_each_source_in_their_order_and_shares_by_seed():
    rows = ids(islice(mixed_stream(), 600))
    for number, source in enumerate(mixed_stream().sources):
        own = [row[1:] for row in rows if row[0] == number]
        assert own == [tuple(row["input_ids"].tolist()) for row in islice(source, len(own))]
    assert sum(row[0] == 0 for row in rows) / 600 == pytest.approx(0.75, abs=0.05)
    assert rows == ids(islice(mixed_stream(), 600))
    assert [row[0] for row in rows] != [row[0] for row in ids(islice(mixed_stream(seed=2), 600))]


@pytest.mark.parametrize("stop", [FIRST, ALL])
def test_a_stream_resumes_at_every_block_from_its_state_as_json(stop):
    expected = ids(islice(mixed_stream(stop), 70))
    assert (len(expected) < 70) == (stop == FIRST)
    reader = iter(mixed_stream(stop))
    for read in range(len(expected) + 1):
        if read % 6 and read < len(expected) - 1:
            next(reader)
            continue
        again = iter(mixed_stream(stop))
        again.load_state_dict(json.loads(json.dumps(reader.state_dict(), default=lambda array: array.tolist())))
        assert ids(islice(again, 70 - read)) == expected[read:], read
        next(reader, None)


def test_once_reads_the_text_of_every_source_once():
    rows = ids(mixed_stream().once())
    for number, source in enumerate(mixed_stream().sources):
        assert [row[1:] for row in rows if row[0] == number] == [tuple(row["input_ids"]) for row in source.once()]


def test_an_error_names_the_source():
    short = {"a": stream(100, 40), "short": stream(5000, 1)}
    with pytest.raises(InputError, match=r"source 'short': the corpus holds 4 tokens, fewer than one block of 5"):
        list(islice(MixedStream(short, [0.5, 0.5], ALL, 0), 30))


def test_each_data_worker_needs_a_file_of_each_source():
    mixed = MixedStream({"a": stream(100, 40, shards=3), "b": stream(5000, 12)}, [0.5, 0.5], ALL, 0)
    mixed.check_workers(1)
    with pytest.raises(InputError, match="dataloader_num_workers is 2, but the source 'b' has 1 file, of which"):
        mixed.check_workers(2)
