import os
import shutil

import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import content_hash as module
from pico_maml.trainers.corpus.content_hash import content_hash


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "corpus" / "below").mkdir(parents=True)
    (tmp_path / "corpus" / "a.txt").write_text("one two")
    (tmp_path / "corpus" / "below" / "b.txt").write_text("three")
    return tmp_path / "corpus"


def test_a_copy_elsewhere_and_with_other_times_has_the_same_hash(folder, tmp_path):
    before = content_hash(str(folder))
    (folder / "notes.md").write_text("no corpus file")
    os.utime(folder / "a.txt", (1, 1))
    shutil.copytree(folder, tmp_path / "copy")
    assert content_hash(str(folder)) == content_hash(str(tmp_path / "copy")) == before
    assert content_hash(str(folder / "a.txt")) != content_hash(str(folder / "below" / "b.txt"))


@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename"])
def test_every_change_of_the_text_changes_the_hash(folder, change):
    before, file = content_hash(str(folder)), folder / "a.txt"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    if change == "edit":
        file.write_text("one tvo")
        os.utime(file, ns=times)
    elif change == "add":
        (folder / "c.txt").write_text("")
    elif change == "remove":
        file.unlink()
    else:
        file.rename(folder / "z.txt")
    assert content_hash(str(folder)) != before


def test_of_a_large_file_the_size_and_pieces_up_to_its_end_count(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "PIECE_BYTES", 10)
    path, content = tmp_path / "a.txt", bytearray(b"x" * 5000)
    hashes = set()
    for changed in (None, 0, 4999, 4990 * 32 // 63):
        edited = bytearray(content)
        if changed is not None:
            edited[changed] = ord("y")
        path.write_bytes(edited)
        hashes.add(content_hash(str(path)))
    path.write_bytes(content + b"x")
    hashes.add(content_hash(str(path)))
    assert len(hashes) == 5


def test_prose_a_hub_data_set_and_a_folder_without_text(tmp_path):
    assert content_hash("python-prose") == content_hash("python-prose")
    assert content_hash("user/name") is None
    with pytest.raises(InputError, match="no corpus file at"):
        content_hash(str(tmp_path))
