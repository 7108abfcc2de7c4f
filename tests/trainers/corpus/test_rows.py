"""What rows may hold, in files and in memory."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import BlockStream, load_documents
from pico_maml.trainers.corpus.document_numbers import with_documents


def parquet(path: Path, rows: list) -> str:
    Dataset.from_dict({"input_ids": rows}).to_parquet(str(path))
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("bad", [400, None, -100, 5.9, float("nan"), 2**40])
def test_what_is_no_token_id_is_an_error_with_file_and_row(tmp_path, bad, streaming):
    parquet(tmp_path / "a.parquet", [[1, 2]] * 80)
    parquet(tmp_path / "b.parquet", [[1, 399]] * 60 + [[3, bad]] * 20)
    with pytest.raises(InputError, match=rf"b.parquet, row 61 holds {str(bad).replace('None', 'null')} among"):
        list(load_documents(str(tmp_path), streaming=streaming, vocab_size=400))


@pytest.mark.parametrize("streaming", [False, True])
def test_whole_numbers_that_pandas_wrote_as_fractions_and_empty_rows_are_token_ids(tmp_path, streaming):
    path = parquet(tmp_path / "a.parquet", [[1.0, 2.0], [], [399.0]])
    rows = load_documents(path, streaming=streaming, vocab_size=400)
    assert [row["input_ids"] for row in rows] == [[1, 2], [], [399]]


def test_a_larger_vocabulary_is_checked_again_though_the_copy_is_cached(tmp_path):
    path = parquet(tmp_path / "a.parquet", [[1, 399]])
    load_documents(path, vocab_size=400)
    with pytest.raises(InputError, match="row 1 holds 399"):
        load_documents(path, vocab_size=300)


@pytest.mark.parametrize("value", [7, ["two", "strings"], b"bytes", None, 1.5])
@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_column_of_anything_but_texts_is_an_error(tmp_path, value, suffix, streaming):
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        Dataset.from_dict({"body": [value]}).to_parquet(str(path))
    else:
        path.write_text(json.dumps({"body": value if not isinstance(value, bytes) else 8}))
    kind = "is empty .null.: remove" if value is None else "'body' holds .*, not string: convert it"
    with pytest.raises(InputError, match=f"a.{suffix}, row 1.*{kind}"):
        list(load_documents(str(path), text_column="body", streaming=streaming))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("bad", [None, 1.5, "a"])
def test_numbers_of_documents_that_are_no_whole_numbers_are_an_error(tmp_path, bad, streaming):
    path, good = str(tmp_path / "a.parquet"), str(bad) if isinstance(bad, str) else 1
    rows = {"input_ids": [[1, 2, 3]] * 5, "document": [[good] * 3] * (4 if good == 1 else 0) + [[good, bad, good]]}
    rows["input_ids"] = rows["input_ids"][: len(rows["document"])]
    Dataset.from_dict(rows).to_parquet(path)
    with pytest.raises(
        InputError, match=rf"a.parquet, row {len(rows['document'])} holds '?{bad}'? in the column document"
    ):
        list(load_documents(path, streaming=streaming))
    with pytest.raises(InputError, match=r"a row of the corpus holds .* in the column document"):
        with_documents({"input_ids": [1, 2, 3], "document": [good, bad, good]}, None)
    assert with_documents({"input_ids": [], "document": []}, None)["document"].tolist() == []


def test_a_column_of_categories_is_read_as_its_texts(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"text": pa.array(["one", "two", "one"]).dictionary_encode()}), path)
    assert [row["text"] for row in load_documents(str(path))] == ["one", "two", "one"]


@pytest.mark.parametrize("bad", [400, -1, 5.9, None])
def test_rows_of_a_stream_are_checked_when_they_are_read(bad):
    rows = Dataset.from_dict({"input_ids": [[1, 2, 399], [3, bad, 4]]}).to_iterable_dataset()
    blocks = iter(BlockStream(rows, 2, vocab_size=400))
    assert next(blocks)["input_ids"].tolist() == [1, 2, 399]
    with pytest.raises(InputError, match="a row of the corpus holds"):
        next(blocks)
    with pytest.raises(InputError, match="a row of the corpus holds"):
        with_documents({"input_ids": np.array([1, bad])}, None, 400)
