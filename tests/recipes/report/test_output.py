import json

import pytest

from pico_maml.recipes.report.output import MARKER, check_output, write_output
from pico_maml.trainers import InputError


def write(folder):
    (folder / "index.html").write_text("new")


def test_files_outside_the_folder_are_never_removed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("not yours")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / MARKER).write_text(json.dumps({"files": ["../outside.txt", str(outside), "old.txt"]}))
    (folder / "old.txt").write_text("old")
    write_output(folder, write)
    assert outside.read_text() == "not yours"
    assert not (folder / "old.txt").exists()
    assert json.loads((folder / MARKER).read_text()) == {"files": ["index.html"]}


def test_an_error_while_writing_keeps_the_old_report(tmp_path):
    folder = tmp_path / "out"
    write_output(folder, write)

    def fail(temporary):
        (temporary / "index.html").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_output(folder, fail)
    assert (folder / "index.html").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    check_output(folder)


def test_a_folder_with_other_files_raises_an_error(tmp_path):
    check_output(tmp_path)
    check_output(tmp_path / "not there yet")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="holds other files than a report"):
            check_output(path)
