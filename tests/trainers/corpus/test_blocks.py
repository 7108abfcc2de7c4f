import pytest
from datasets import Dataset, config
from datasets.arrow_writer import ArrowWriter

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, load_documents, make_blocks


def ids_of(blocks) -> list[list[int]]:
    return [row["input_ids"].tolist() for row in blocks]


def test_streamed_and_memory_mapped_blocks_are_the_same(corpus_path, tokenizer):
    mapped = make_blocks(load_documents(corpus_path), tokenizer, 32)
    streamed = make_blocks(load_documents(corpus_path, streaming=True), tokenizer, 32, repeat=False)
    assert isinstance(mapped, Dataset)
    assert mapped.cache_files, "memory-mapped from a file"
    assert isinstance(streamed, BlockStream)
    assert ids_of(mapped) == ids_of(streamed)


def test_rows_of_token_ids_are_packed_without_a_tokenizer(tmp_path, tokenizer):
    path = tmp_path / "ids.parquet"
    Dataset.from_dict({"input_ids": [[1, 2, 3], [4, 5, 6, 7]], "meta": ["a", "b"]}).to_parquet(str(path))
    assert ids_of(make_blocks(load_documents(str(path)), tokenizer, 3)) == [[1, 2, 3, 4], [4, 5, 6, 7]]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_that_are_blocks_already_stay_unchanged(tmp_path, tokenizer, streaming):
    path = tmp_path / "blocks.parquet"
    Dataset.from_dict({"input_ids": [[1, 2, 3, 4], [5, 6, 7, 8]]}).to_parquet(str(path))
    blocks = make_blocks(load_documents(str(path), streaming=streaming), tokenizer, 3, repeat=False)
    assert ids_of(blocks) == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_documents_of_which_the_first_is_as_long_as_a_block_are_packed(tokenizer):
    rows = Dataset.from_dict({"input_ids": [[1, 2, 3, 4], [5, 6, 7]]})
    assert ids_of(make_blocks(rows, tokenizer, 3)) == [[1, 2, 3, 4], [4, 5, 6, 7]]
    blocks = iter(make_blocks(rows.to_iterable_dataset(), tokenizer, 3))
    assert next(blocks)["input_ids"].tolist() == [1, 2, 3, 4]
    with pytest.raises(InputError, match="a row of the corpus has 3 ids, but the first is a block of 4: prepare"):
        next(blocks)


@pytest.mark.parametrize("step", ["load", "pack"])
def test_a_full_disk_is_said_of_the_cache_and_not_of_the_corpus(tmp_path, tokenizer, step, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.txt"
    path.write_text("ab cd ef gh " * 10)
    documents = load_documents(str(path)) if step == "pack" else None
    for name in ("write", "write_row", "write_table", "write_batch"):
        monkeypatch.setattr(ArrowWriter, name, full)
    with pytest.raises(InputError, match=rf"the cache {config.HF_DATASETS_CACHE} cannot be written \(No space left"):
        load_documents(str(path)) if documents is None else make_blocks(documents, tokenizer, 4)


def test_each_document_ends_with_end_of_text(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": " ab cd"}\n{"text": " ef"}\n')
    (block,) = make_blocks(load_documents(str(path)), tokenizer, 4)
    assert tokenizer.decode(block["input_ids"]) == " ab cd<|endoftext|> ef<|endoftext|>"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("value", "message"), [(None, "a row of the corpus is empty"), (["ab", "cd"], "not a text"), (5, "not a text")]
)
def test_tokenizing_a_row_without_a_text_is_an_error(value, message, tokenizer, streaming):
    rows = Dataset.from_dict({"text": [value]})
    with pytest.raises(InputError, match=message):
        list(make_blocks(rows.to_iterable_dataset() if streaming else rows, tokenizer, 2, repeat=False))


def test_text_of_another_column_and_shorter_than_a_block_is_an_error(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "ab cd"}\n')
    documents = load_documents(str(path), text_column="body")
    with pytest.raises(InputError, match=r"the corpus holds \d+ tokens, fewer than one block of 129"):
        make_blocks(documents, tokenizer, 128)
