"""`~` in every path, and places that cannot be written to."""

from pathlib import Path

import pytest

from pico_maml.recipes.arguments import places
from pico_maml.recipes.arguments.places import check_writable, expand_home
from pico_maml.trainers import InputError


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "expanded"),
    [
        ("~/x", "HOME/x"),
        ("--output_dir=~/x", "HOME/x"),
        ("--output_dir=~", "HOME"),
        ("tiny/maml/1=~/x", "HOME/x"),
        ("--models=tiny/maml/1=~/x", "HOME/x"),
    ],
)
def test_a_path_in_the_home_folder_is_expanded(home, argument, expanded):
    assert expand_home(argument) == argument.replace("~/x", f"{home}/x").replace("~", str(home))
    assert expand_home(argument).endswith(expanded.replace("HOME", str(home)))


@pytest.mark.parametrize("argument", ["a~b", "./~/x", "x/~", "--question=~10 seeds", "--name", '{"a": "~/x"}'])
def test_other_tildes_stay(home, argument):
    assert expand_home(argument) == argument


def test_an_unknown_home_is_an_error():
    with pytest.raises(InputError, match="~nobody_of_that_name/x: the home folder of ~ is not known"):
        expand_home("--dataset=~nobody_of_that_name/x")


def test_a_place_of_the_wrong_kind_or_below_a_file_is_an_error(tmp_path):
    file = tmp_path / "file"
    file.touch()
    check_writable("output_dir", tmp_path / "new" / "folder", is_folder=True)
    check_writable("output_file", file, is_folder=False)
    for name, path, is_folder, message in (
        ("output_file", tmp_path, False, "is a folder, output_file must be a file"),
        ("output_dir", file, True, "is a file, output_dir must be a folder"),
        ("output_dir", file / "below", True, "lies below .*file, which is a file"),
    ):
        with pytest.raises(InputError, match=message):
            check_writable(name, path, is_folder)


def test_a_read_only_place_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(places.os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"cannot be written: .* is read-only for this user"):
        check_writable("output_dir", tmp_path / "new" / "folder", is_folder=True)
