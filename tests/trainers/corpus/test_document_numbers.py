"""Which document each token of a block comes from, for every kind of corpus."""

import json
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, load_documents, make_blocks
from pico_maml.trainers.corpus.document_numbers import document_number, with_documents

END = 0


def save(rows: dict, path: Path, streaming: bool):
    Dataset.from_dict(rows).to_parquet(str(path))
    return load_documents(str(path), streaming=streaming)


def blocks_of(documents, tokenizer, size: int) -> list[dict]:
    """Blocks with the checks that hold for all of them."""
    blocks = list(make_blocks(documents, tokenizer, size, repeat=False))
    assert all(block["document"].shape == (size + 1,) for block in blocks)
    return blocks


def lengths(numbers) -> list[int]:
    """How many neighbours share a number."""
    return [len(list(group)) for _, group in groupby(np.asarray(numbers).tolist())]


def whole(blocks: list[dict], name: str, size: int) -> list[int]:
    """A column of all full blocks, each token once."""
    return [*blocks[0][name].tolist(), *(i for block in blocks[1:] for i in block[name][1:].tolist())]


def test_row_without_a_column_ends_a_document_at_end_of_text():
    tokens = with_documents({"input_ids": [5, 6, END, 7, END, 5, 6, END, 8]}, END)
    first, second, third, last = (tokens["document"][i] for i in (0, 3, 5, 8))
    assert tokens["document"].tolist() == [first] * 3 + [second] * 2 + [third] * 3 + [last]
    assert first == third, "a copy"
    assert len({first, second, last}) == 3


def test_row_without_end_of_text_is_one_document_and_an_empty_row_none():
    assert lengths(with_documents({"input_ids": [5, END, 6]}, None)["document"]) == [3]
    assert with_documents({"input_ids": []}, END)["document"].tolist() == []


def test_label_of_a_row_is_the_document_of_all_its_tokens():
    rows = [{"input_ids": [5, END, 6], "document": label} for label in ("a", "b", "a", 7, 7)]
    numbers = [set(with_documents(row, END)["document"].tolist()) for row in rows]
    assert all(len(number) == 1 for number in numbers)
    assert numbers[0] == numbers[2] != numbers[1]
    assert numbers[3] == numbers[4] != numbers[0]


def test_wrong_rows_are_errors():
    with pytest.raises(InputError, match="3 input_ids but 2 numbers in the column document"):
        with_documents({"input_ids": [1, 2, 3], "document": [1, 1]}, END)
    with pytest.raises(InputError, match="a row of the corpus is empty"):
        with_documents({"input_ids": None}, END)


def test_numbers_are_not_negative_and_hardly_ever_collide():
    numbers = [document_number(f"document {i}") for i in range(5000)]
    assert 0 <= min(numbers) <= max(numbers) < 2**31
    assert len(set(numbers)) >= 4999


@pytest.mark.parametrize("streaming", [False, True])
def test_each_row_of_text_is_a_document_within_and_across_blocks(tmp_path, tokenizer, streaming):
    texts = [" ab cd ef gh", " ij", " ab ba ac ca ad da ae ea", " cd dc"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    blocks = blocks_of(load_documents(str(path), streaming=streaming), tokenizer, 3)
    expected = [len(tokenizer(text)["input_ids"]) + 1 for text in texts]
    assert expected[2] > 2 * 3, "over several blocks"
    full = (sum(expected) - 1) // 3
    numbers = whole(blocks[:full], "document", 3)
    counts = lengths(numbers)
    assert counts[:-1] == expected[: len(counts) - 1]
    assert len(set(numbers)) == len(counts), "each document has a number of its own"
    assert lengths(blocks[-1]["document"])[-1] == min(expected[-1], 4)


@pytest.mark.parametrize("streaming", [False, True])
def test_all_paragraphs_of_a_text_file_are_one_document(tmp_path, tokenizer, streaming):
    (tmp_path / "a.txt").write_text(" ab cd\n\n ef gh\n\n ij")
    (tmp_path / "b.txt").write_text(" ab cd\n\n ad")
    blocks = blocks_of(load_documents(str(tmp_path), streaming=streaming), tokenizer, 4)
    ids, numbers = (whole(blocks[:2], name, 4) for name in ("input_ids", "document"))
    ends = [i for i, token in enumerate(ids) if token == tokenizer.eos_token_id]
    assert len(ends) >= 3, "each paragraph ends with end-of-text"
    assert len(set(numbers[: ends[2] + 1])) == 1
    assert set(numbers[ends[2] + 1 :]) == {blocks[-1]["document"][-1]} != {numbers[0]}


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_ids_end_documents_at_end_of_text_and_at_each_row(tmp_path, tokenizer, streaming):
    end = tokenizer.eos_token_id
    rows = {"input_ids": [[5, 6, end, 7], [8, 9, end], [10, 11, 12]]}
    blocks = blocks_of(save(rows, tmp_path / "ids.parquet", streaming), tokenizer, 9)
    assert lengths(blocks[0]["document"]) == [3, 1, 3, 3]


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_of_rows_join_them_to_documents(tmp_path, tokenizer, streaming):
    rows = {"input_ids": [[5, 6], [7, 8, 9], [5, 6, 7]], "document": ["one", "one", "two"]}
    blocks = blocks_of(save(rows, tmp_path / "ids.parquet", streaming), tokenizer, 7)
    assert lengths(blocks[0]["document"]) == [5, 3]


@pytest.mark.parametrize("streaming", [False, True])
def test_packed_blocks_keep_their_documents(tmp_path, tokenizer, streaming):
    rows = {"input_ids": [[5, 6, 7, 8], [8, 9, 10, 11]], "document": [[3, 3, 4, 4], [4, 4, 4, 9]]}
    blocks = blocks_of(save(rows, tmp_path / "blocks.parquet", streaming), tokenizer, 3)
    assert [block["document"].tolist() for block in blocks] == rows["document"]
    assert [block["input_ids"].tolist() for block in blocks] == rows["input_ids"]


@pytest.mark.parametrize("streaming", [False, True])
def test_packed_blocks_of_an_earlier_version_end_documents_at_end_of_text_and_at_each_block(
    tmp_path, tokenizer, streaming
):
    end = tokenizer.eos_token_id
    rows = {"input_ids": [[5, end, 7, 8], [8, 9, end, 11]]}
    blocks = blocks_of(save(rows, tmp_path / "blocks.parquet", streaming), tokenizer, 3)
    assert [lengths(block["document"]) for block in blocks] == [[2, 2], [3, 1]]
    assert blocks[0]["document"][-1] != blocks[1]["document"][0]


ROWS = [{"input_ids": [*range(100 * n, 100 * n + 1 + n % 23), END]} for n in range(1, 60)]


def stream(rows=ROWS, shards: int = 4, **options) -> BlockStream:
    documents = Dataset.from_list(rows).to_iterable_dataset(shards)
    return BlockStream(documents, 3, end_of_text=END, **options)


def pairs(blocks) -> list[tuple[list[int], list[int]]]:
    return [(block["input_ids"].tolist(), block["document"].tolist()) for block in blocks]


def numbers(blocks: list[tuple[list[int], list[int]]]) -> dict[int, int]:
    """The document of each token id but end-of-text; in ROWS an id stands in one document."""
    return {token: number for row in blocks for token, number in zip(*row, strict=True) if token != END}


def as_json(state) -> dict:
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


def test_number_of_a_document_is_that_of_every_pass_place_and_way_of_reading(tmp_path, tokenizer):
    assert tokenizer.eos_token_id == END
    rows = {"input_ids": [row["input_ids"] for row in ROWS]}
    expected = numbers(pairs(blocks_of(save(rows, tmp_path / "ids.parquet", False), tokenizer, 5)))
    assert len(set(expected.values())) == len(ROWS)
    streamed = make_blocks(save(rows, tmp_path / "ids.parquet", True), tokenizer, 5, shuffle_blocks=3)
    blocks = pairs(islice(streamed, 400))
    for part in (blocks[:150], blocks[200:350]):
        assert numbers(part).items() <= expected.items()


@pytest.mark.parametrize("options", [{}, {"shuffle_blocks": 7}])
def test_resuming_within_a_document_goes_on_with_its_number(options):
    expected = pairs(islice(stream(**options), 500))
    for given in range(0, 450, 13):
        blocks = iter(stream(**options))
        list(islice(blocks, given))
        again = iter(stream(**options))
        again.load_state_dict(as_json(blocks.state_dict()))
        assert pairs(islice(again, 9)) == expected[given : given + 9], given


def test_state_of_an_earlier_version_resumes_and_only_the_open_document_has_another_number():
    expected = pairs(islice(stream(), 500))
    for given in range(0, 450, 13):
        blocks = iter(stream())
        list(islice(blocks, given))
        state = as_json(blocks.state_dict())
        for name in ("pending_document", "last_document"):
            del state["start"][name]
        again = iter(stream())
        again.load_state_dict(state)
        resumed = pairs(islice(again, 30))
        assert [ids for ids, _ in resumed] == [ids for ids, _ in expected[given : given + 30]]
        changed = numbers(resumed).items() - numbers(expected).items()
        assert len({token // 100 for token, _ in changed}) <= 1, "the document that was open"


def test_two_data_workers_give_each_document_the_number_that_one_gives_it():
    expected = numbers(pairs(stream(repeat=False)))
    assert numbers(pairs(StatefulDataLoader(stream(repeat=False), batch_size=None, num_workers=2))) == expected
    assert len(set(expected.values())) == len(ROWS)
