import errno
import os

import pytest

from pico_maml.trainers.runs import whole_file
from pico_maml.trainers.runs.whole_file import delete_unfinished, write_whole, written_whole


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_whole(tmp_path / "new" / "file", "old \u00e4")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "new" / "file", "new")
    assert names(tmp_path / "new") == {"file"}
    assert (tmp_path / "new" / "file").read_text(encoding="utf-8") == "old \u00e4"


def test_target_that_is_a_folder_leaves_no_temporary_file(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "file", "text")
    assert names(tmp_path) == {"file"}


def test_writers_of_one_file_do_not_share_a_temporary_one(tmp_path):
    """Two containers may give their processes the same number."""
    with written_whole(tmp_path / "file") as first:
        first.write_text("first")
        with written_whole(tmp_path / "file") as second:
            second.write_text("second")
        assert (tmp_path / "file").read_text() == "second"
    assert (tmp_path / "file").read_text() == "first"
    assert names(tmp_path) == {"file"}


def test_first_error_is_the_one_that_is_raised(tmp_path, monkeypatch):
    def stale(*arguments, **options):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(whole_file.Path, "unlink", stale)
    with pytest.raises(ValueError, match="the cause"), written_whole(tmp_path / "file"):
        raise ValueError("the cause")


def test_only_what_was_left_of_that_file_is_deleted(tmp_path):
    for name in ("a[1].json", ".a[1].json.0123", ".a1.json.0123", ".b.json.0123"):
        (tmp_path / name).touch()
    delete_unfinished(tmp_path / "a[1].json")
    assert names(tmp_path) == {"a[1].json", ".a1.json.0123", ".b.json.0123"}
