import sys
from types import SimpleNamespace

import datasets
import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import load_documents, python_prose, split_held_out


def texts_of(documents) -> list[str]:
    return [row["text"] for row in documents]


@pytest.mark.parametrize("streaming", [False, True])
def test_every_format_gives_the_same_documents(corpus_path, texts, streaming):
    documents = load_documents(corpus_path, streaming=streaming)
    assert [text.strip() for text in texts_of(documents)] == texts
    assert list(next(iter(documents))) == ["text"] + ["document"] * corpus_path.endswith(("txt", "folder"))


def test_built_in_prose_is_english_and_held_out_lines_are_not_trained_on():
    documents = load_documents("python-prose")
    assert sum(map(len, texts_of(documents))) > 1_000_000
    train, held_out = (
        {line.strip() for text in texts_of(side) for line in text.splitlines() if len(line.strip()) >= 40}
        for side in split_held_out(documents, 0.05)
    )
    assert any("assert statements are a convenient way" in line.lower() for line in train | held_out)
    assert len(held_out & train) < 0.03 * len(held_out)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.jsonl", b'{"body": "x"}\n', "has no column 'text': set text_column to one of body"),
        ("broken.jsonl", b'{"text": "x"}\n{"text": \n', r"broken.jsonl cannot be read \(.*\): repair or remove it"),
        ("broken.parquet", b"not parquet", r"broken.parquet cannot be read \(.*\): repair or remove it"),
    ],
)
def test_broken_files_and_missing_columns_are_errors(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_documents(str(path))


def test_a_name_that_is_no_file_folder_or_data_set_is_an_error():
    with pytest.raises(InputError, match="nowhere/nothing"):
        load_documents("nowhere/nothing")


def test_built_in_prose_is_read_once_and_anew_for_another_python(monkeypatch, tmp_path):
    read = []

    def prose():
        read.append(python_prose.sys.version)
        yield "one document"

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(python_prose, "python_prose", prose)
    assert texts_of(load_documents("python-prose")) == texts_of(load_documents("python-prose")) == ["one document"]
    assert texts_of(load_documents("python-prose", streaming=True)) == ["one document"]
    assert len(read) == 1
    monkeypatch.setattr(python_prose, "sys", SimpleNamespace(version="another", modules=sys.modules))
    load_documents("python-prose")
    assert read[1:] == ["another"]
