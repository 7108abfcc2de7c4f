import json

import pytest
from datasets import Dataset

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import load_documents


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "first line\ncaf\xe9".encode("latin-1"), r"latin.txt, line 2: not UTF-8 \(byte 4 of the line\)"),
        ("notes.md", b"# Notes", r"no corpus file at .*expected .txt, .jsonl"),
    ],
)
def test_other_encodings_and_formats_are_errors(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_documents(str(path))


def test_a_folder_with_two_formats_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="mixes json and text files"):
        load_documents(str(tmp_path))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("suffix", ["txt", "jsonl", "parquet", "arrow"])
def test_bad_files_are_skipped_and_logged_or_else_an_error(suffix, streaming, tmp_path, caplog):
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
    # A stream raises its reader's own error, when it gets there.
    with pytest.raises(ValueError if streaming else InputError):
        list(load_documents(str(folder), streaming=streaming))


def test_a_json_list_over_several_lines_is_not_a_bad_file(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "one"}, {"text": "two"}], indent=2))
    documents = load_documents(str(path), skip_bad_files=True)
    assert [row["text"] for row in documents] == ["one", "two"]
    assert "skipped" not in caplog.text
