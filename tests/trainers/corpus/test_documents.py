import json

import pytest
from datasets import Dataset

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, load_documents, make_blocks, split_held_out

TEXTS = [f"document number {i} with a few words in it" for i in range(200)]


def texts(documents) -> list[str]:
    return [row["text"] for row in documents]


@pytest.fixture(params=["txt", "jsonl", "parquet", "folder"])
def corpus(request, tmp_path):
    """The same 200 documents in each format."""
    if request.param == "txt":
        path = tmp_path / "corpus.txt"
        path.write_text("\n\n".join(TEXTS))
    elif request.param == "jsonl":
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS))
    elif request.param == "parquet":
        path = tmp_path / "corpus.parquet"
        Dataset.from_dict({"text": TEXTS}).to_parquet(str(path))
    else:
        path = tmp_path / "folder"
        path.mkdir()
        (path / "a.txt").write_text("\n\n".join(TEXTS[:50]))
        (path / "b.txt").write_text("\n\n".join(TEXTS[50:]))
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
def test_every_format_gives_the_same_documents(corpus, streaming):
    documents = load_documents(corpus, streaming=streaming)
    assert [text.strip() for text in texts(documents)] == TEXTS
    assert list(next(iter(documents))) == ["text"]


def test_streamed_and_memory_mapped_blocks_are_the_same(corpus, tokenizer):
    mapped = make_blocks(load_documents(corpus), tokenizer, 32)
    streamed = make_blocks(load_documents(corpus, streaming=True), tokenizer, 32, repeat=False)
    assert isinstance(mapped, Dataset)
    assert mapped.cache_files, "memory-mapped from a file"
    assert isinstance(streamed, BlockStream)
    assert [row["input_ids"].tolist() for row in mapped] == [row["input_ids"].tolist() for row in streamed]


def test_tokenised_rows_pass_through(tmp_path, tokenizer):
    path = tmp_path / "ids.parquet"
    Dataset.from_dict({"input_ids": [[1, 2, 3], [4, 5, 6, 7]], "meta": ["a", "b"]}).to_parquet(str(path))
    blocks = make_blocks(load_documents(str(path)), tokenizer, 3)
    assert [row["input_ids"].tolist() for row in blocks] == [[1, 2, 3, 4], [4, 5, 6, 7]]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_that_are_blocks_already_stay_as_they_are(tmp_path, tokenizer, streaming):
    path = tmp_path / "blocks.parquet"
    Dataset.from_dict({"input_ids": [[1, 2, 3, 4], [5, 6, 7, 8]]}).to_parquet(str(path))
    blocks = make_blocks(load_documents(str(path), streaming=streaming), tokenizer, 3, repeat=False)
    assert [row["input_ids"].tolist() for row in blocks] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_an_empty_row_is_named(tmp_path):
    path = tmp_path / "null.jsonl"
    path.write_text('{"text": "x"}\n{"text": null}\n')
    with pytest.raises(InputError, match="a row of the corpus is empty"):
        split_held_out(load_documents(str(path)), 0.5)


def test_each_document_ends_with_end_of_text(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": " ab cd"}\n{"text": " ef"}\n')
    (block,) = make_blocks(load_documents(str(path)), tokenizer, 4)
    assert tokenizer.decode(block["input_ids"]) == " ab cd<|endoftext|> ef<|endoftext|>"


def test_held_out_documents_are_the_same_in_every_run_and_streamed_or_not(corpus):
    sides = [split_held_out(load_documents(corpus, streaming=s), 0.2) for s in (False, True)]
    (train, held_out), (train_again, held_out_again) = [[texts(part) for part in side] for side in sides]
    assert (train, held_out) == (train_again, held_out_again)
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(TEXTS)
    assert 20 < len(held_out) < 60


def test_built_in_prose_is_english_and_held_out_lines_are_not_trained_on():
    documents = load_documents("python-prose")
    assert sum(map(len, texts(documents))) > 1_000_000
    train, held_out = (
        {line.strip() for text in texts(side) for line in text.splitlines() if len(line.strip()) >= 40}
        for side in split_held_out(documents, 0.05)
    )
    assert any("assert statements are a convenient way" in line.lower() for line in train | held_out)
    assert len(held_out & train) < 0.03 * len(held_out)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "first line\ncaf\xe9".encode("latin-1"), r"latin.txt, line 2: not UTF-8 \(byte 4 of the line\)"),
        ("other.jsonl", b'{"body": "x"}\n', "has no column 'text': set text_column to one of body"),
        ("broken.jsonl", b'{"text": "x"}\n{"text": \n', "cannot read the corpus"),
        ("broken.parquet", b"not parquet", "cannot read the corpus"),
        ("notes.md", b"# Notes", r"no corpus file at .*expected .txt, .jsonl"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_documents(str(path))


def test_mixed_formats_and_missing_names(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="mixes json and text files"):
        load_documents(str(tmp_path))
    with pytest.raises(InputError, match="nowhere/nothing"):
        load_documents("nowhere/nothing")


def test_another_column_and_a_corpus_shorter_than_a_block(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "ab cd"}\n')
    documents = load_documents(str(path), text_column="body")
    with pytest.raises(InputError, match=r"the corpus holds \d+ tokens, fewer than one block of 129"):
        make_blocks(documents, tokenizer, 128)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("suffix", ["txt", "jsonl", "parquet", "arrow"])
def test_bad_files_are_skipped_and_named_or_an_error(suffix, streaming, tmp_path, caplog):
    rows = Dataset.from_dict({"text": ["one", "two"]})
    folder = tmp_path / "files"
    folder.mkdir()
    good, bad = folder / f"a.{suffix}", folder / f"b.{suffix}"
    if suffix == "txt":
        good.write_text("one\n\ntwo")
    elif suffix == "jsonl":
        good.write_text('{"text": "one"}\n{"text": "two"}\n')
    elif suffix == "parquet":
        rows.to_parquet(good)
    else:
        rows.save_to_disk(tmp_path / "rows")
        next((tmp_path / "rows").glob("*.arrow")).rename(good)
    bad.write_bytes(good.read_bytes()[:-20] + b"\xff" * 20)
    documents = load_documents(str(folder), streaming=streaming, skip_bad_files=True)
    assert [row["text"].strip() for row in documents] == ["one", "two"]
    assert f"1 of 2 corpus files are skipped: {bad} (" in caplog.text
    # A stream finds out while it is read, in the words of its reader.
    with pytest.raises(ValueError if streaming else InputError):
        list(load_documents(str(folder), streaming=streaming))
