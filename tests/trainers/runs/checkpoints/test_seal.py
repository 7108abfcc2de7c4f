import json

import pytest

from pico_maml.trainers.runs.checkpoints import damages, read_seal
from pico_maml.trainers.runs.checkpoints.seal import seal
from pico_maml.trainers.runs.files import COMPLETE


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights").write_bytes(bytes(range(100)))
    (tmp_path / "inner" / "curves").write_text("a,b\n")
    seal(tmp_path, step=7, world_size=2)
    return tmp_path


def test_seal_lists_step_processes_and_files_of_a_whole_folder(folder):
    content = read_seal(folder)
    assert (content["step"], content["world_size"]) == (7, 2)
    assert {name: file["size"] for name, file in content["files"].items()} == {"weights": 100, "inner/curves": 4}
    assert damages(folder) == []
    (folder / "README.md").write_text("what is added later is nobody's damage")
    assert damages(folder) == []


@pytest.mark.parametrize("name", ["weights", "inner/curves", COMPLETE])
def test_any_damaged_byte_of_any_file_is_detected(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", *(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole)))):
        path.write_bytes(damaged)
        # A flip within COMPLETE's white space leaves what it says.
        assert damages(folder) or (name == COMPLETE and json.loads(damaged) == json.loads(whole)), damaged
    path.unlink()
    assert damages(folder) == [f"{name} is missing"]


def test_without_hashes_only_sizes_are_compared(folder):
    (folder / "weights").write_bytes(bytes(100))
    assert damages(folder, hashes=False) == []
    assert damages(folder) == ["weights has other content than was saved"]


def test_link_to_a_file_outside_of_the_checkpoint_counts_as_missing(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    elsewhere.write_text("x")
    seal_of_other = json.loads((folder / COMPLETE).read_text())
    (folder / "weights").unlink()
    (folder / "weights").symlink_to(elsewhere)
    assert damages(folder) == ["weights is missing"]
    assert seal_of_other["files"]["weights"]["size"] == 100
