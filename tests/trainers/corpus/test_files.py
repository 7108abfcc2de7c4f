import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pytest
from datasets import Dataset, config

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import files as files_module
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
    assert f"{folder}: 1 read, 1 left out: 1 bad ({bad}" in caplog.text
    with pytest.raises(InputError, match=str(bad)):
        list(load_documents(str(folder), streaming=streaming))


def test_a_json_list_over_several_lines_is_not_a_bad_file(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "one"}, {"text": "two"}], indent=2))
    documents = load_documents(str(path), skip_bad_files=True)
    assert [row["text"] for row in documents] == ["one", "two"]
    assert "skipped" not in caplog.text


def texts_of(path: Path, streaming: bool = False, **options) -> list[str]:
    return [row["text"] for row in load_documents(str(path), streaming=streaming, **options)]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("suffix", ["txt", "jsonl", "txt.gz"])
@pytest.mark.parametrize("name", ["data[12]", "data?", "*", "{a,b}", "__x", ".hidden", "a b#c%20"])
def test_a_path_is_no_pattern(tmp_path, name, suffix, streaming):
    def write(file: Path, text: str) -> None:
        content = (json.dumps({"text": text}) if suffix == "jsonl" else text).encode()
        file.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)

    (tmp_path / name).mkdir()
    for folder in (tmp_path, tmp_path / name):
        write(folder / f"data1.{suffix}", "another file")
        write(folder / f"{name}.{suffix}", "the file")
    assert texts_of(tmp_path / f"{name}.{suffix}", streaming) == ["the file"]
    listed = ["another file"] if name == ".hidden" else ["another file", "the file"]
    assert sorted(texts_of(tmp_path / name, streaming)) == listed


def test_a_name_that_datasets_would_split_is_an_error(tmp_path):
    (tmp_path / "a").write_text("another file")
    (tmp_path / "a::b.txt").write_text("the file")
    with pytest.raises(InputError, match="has `::` in its path"):
        load_documents(str(tmp_path / "a::b.txt"))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_is_read_whole_and_what_is_left_out_is_logged_in_one_line(tmp_path, streaming, caplog):
    folder, linked = tmp_path / "corpus", tmp_path / "linked"
    (folder / "below").mkdir(parents=True)
    linked.mkdir()
    (folder / "a.TXT").write_text("upper case")
    for packer, ending in ((gzip, "gz"), (bz2, "bz2"), (lzma, "xz")):
        (folder / f"b.txt.{ending}").write_bytes(packer.compress(ending.encode()))
    (folder / "below" / "part-00000").write_text("spark")
    (folder / "below" / "part-r-00001-0123-c000.gz").write_bytes(gzip.compress(b"packed spark"))
    (linked / "c.txt").write_text("linked")
    (folder / "link").symlink_to(linked)
    (linked / "loop").symlink_to(folder)
    for name in ("_SUCCESS", "notes.md", ".part-00000.crc", "b.parquet.gz"):
        (folder / name).write_text("no corpus")
    (folder / "gone.txt").symlink_to(tmp_path / "gone")
    texts = ["upper case", "bz2", "gz", "xz", "spark", "packed spark", "linked"]
    assert texts_of(folder, streaming) == texts
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        f"{folder}: 7 read, 5 left out: 1 hidden (.part-00000.crc); 1 no file, or a broken link (gone.txt); "
        "3 with another ending (_SUCCESS, b.parquet.gz, notes.md)"
    )


def test_rows_of_a_compressed_file_have_the_document_of_the_plain_one(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo"))
    assert len({row["document"] for row in load_documents(str(tmp_path))}) == 1


def test_files_that_datasets_saved_are_read_without_their_metadata(tmp_path):
    Dataset.from_dict({"text": ["one", "two"]}).save_to_disk(tmp_path / "saved")
    assert texts_of(tmp_path / "saved") == ["one", "two"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("skip_bad_files", [False, True])
def test_byte_order_marks_blank_lines_and_line_ends_are_no_text(tmp_path, streaming, skip_bad_files, caplog):
    mark = b"\xef\xbb\xbf"
    folders = {"txt": tmp_path / "txt", "json": tmp_path / "json"}
    for folder in folders.values():
        folder.mkdir()
    (folders["txt"] / "a.txt").write_bytes(mark + b"one\r\n\r\ntwo")
    (folders["txt"] / "b.txt.gz").write_bytes(gzip.compress(mark + b"three\n"))
    (folders["txt"] / "c.txt").write_bytes(b"")
    (folders["json"] / "a.jsonl").write_bytes(b'\n\n{"text": "one"}\r\n\r\n{"text": "two", "more": 1}\n\n')
    (folders["json"] / "b.json").write_bytes(
        mark + json.dumps([{"text": "three"}, {"text": "four"}], indent=1).encode()
    )
    (folders["json"] / "c.json").write_bytes(mark + json.dumps({"text": "five"}, indent=1).encode())
    (folders["json"] / "d.jsonl").write_bytes(mark + b'{"text": "six"}\n')
    (folders["json"] / "e.jsonl").write_bytes(b"\n")
    (folders["json"] / "f.jsonl").write_bytes(b"")
    assert [text.strip() for text in texts_of(folders["txt"], streaming, skip_bad_files=skip_bad_files)] == [
        "one",
        "two",
        "three",
    ]
    assert texts_of(folders["json"], streaming, skip_bad_files=skip_bad_files) == [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
    ]
    assert not caplog.records


def test_a_file_is_skipped_exactly_if_it_would_be_an_error(tmp_path, caplog):
    files = {
        "a.jsonl": b'{"text": "good"}\n',
        "b.jsonl": b'{"body": "no text"}\n',
        "c.jsonl": b'{"text": 5}\n',
        "d.jsonl": b'{"text": "x"}\n{"text": null}\n',
        "e.jsonl.gz": gzip.compress(b'{"text": "cut off"}\n' * 1000)[:-9],
        "f.jsonl": b'{"text": "x"}\n{"text": 1}\n',
        "g.jsonl": b'{"text": "with more", "n": {"a": [1, "b"]}}\n',
        "h.jsonl": b'{"text": "caf\xe9"}\n',
    }
    bad = []
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        try:
            texts_of(path)
        except InputError as error:
            bad += [name for name in files if name in str(error)]
    assert bad == ["b.jsonl", "c.jsonl", "d.jsonl", "e.jsonl.gz", "f.jsonl", "h.jsonl"]
    assert texts_of(tmp_path, skip_bad_files=True) == ["good", "with more"]
    assert "2 read, 6 left out: 6 bad" in caplog.text


def test_a_copy_in_the_cache_is_not_used_for_another_content(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("old words", "new", "etc"):  # of another size, and of the same
        path.write_text(text)
        os.utime(path, ns=(10**18, 10**18))
        assert texts_of(path) == [text]


def test_a_compression_whose_package_is_absent_names_it(tmp_path, monkeypatch):
    (tmp_path / "a.txt.zst").write_bytes(b"packed")
    monkeypatch.setattr(files_module, "available_compressions", lambda: ["gzip"])
    with pytest.raises(InputError, match=r"a.txt.zst: reading .zst needs the package zstandard: install it"):
        load_documents(str(tmp_path), skip_bad_files=True)


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "a.txt" / "cache")
    with pytest.raises(InputError, match=r"the cache .*a.txt/cache cannot be written \(Not a directory\)"):
        load_documents(str(tmp_path))


def test_a_folder_that_cannot_be_searched_is_an_error(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match="cannot be searched"):
        load_documents(str(tmp_path))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.parquet"])
def test_a_corpus_without_rows_is_an_error(tmp_path, name, streaming):
    if name == "a.parquet":
        Dataset.from_dict({"text": []}).to_parquet(str(tmp_path / name))
    else:
        content = b"" if name == "a.txt" else b"\n\n"
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=f"{name} is empty: add text"):
        load_documents(str(tmp_path / name), streaming=streaming)
