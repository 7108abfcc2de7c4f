import errno

import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.checkpoints import damages, newest, rotate, written_beside


def save(run, step, content="x"):
    with written_beside(run, step, is_writer=True) as folder:
        (folder / "weights").write_text(content)
        assert not (run / f"checkpoint-{step}").exists() or content == "again"


def names(run) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def test_checkpoint_appears_whole_without_temporary_files(tmp_path):
    save(tmp_path, 3)
    assert names(tmp_path) == ["checkpoint-3"]
    assert not damages(tmp_path / "checkpoint-3")
    save(tmp_path, 3, "again")
    assert (tmp_path / "checkpoint-3" / "weights").read_text() == "again"
    assert not damages(tmp_path / "checkpoint-3")


def test_files_of_a_killed_save_are_not_part_of_the_next_one(tmp_path):
    left = tmp_path / ".unfinished" / "checkpoint-3"
    left.mkdir(parents=True)
    (left / "rng_state_1.pth").write_text("of another run")
    assert newest(tmp_path) is None
    save(tmp_path, 3)
    assert [path.name for path in (tmp_path / "checkpoint-3").iterdir() if path.name != "COMPLETE"] == ["weights"]


def test_full_disk_raises_an_error_and_leaves_earlier_checkpoints_whole(tmp_path):
    save(tmp_path, 3)

    def fill_the_disk():
        with written_beside(tmp_path, 4, is_writer=True) as folder:
            (folder / "weights").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"cannot save checkpoint-4 .* free\): .*No space.*checkpoint-3 is untouched"):
        fill_the_disk()
    assert names(tmp_path) == ["checkpoint-3"]
    assert newest(tmp_path) == tmp_path / "checkpoint-3"


def test_rotation_keeps_the_newest_and_the_best_and_ignores_damaged_ones(tmp_path):
    for step in (1, 2, 10, 11):
        save(tmp_path, step)
    (tmp_path / "checkpoint-9.damaged").mkdir()
    rotate(tmp_path, None, None)
    assert len(names(tmp_path)) == 5
    rotate(tmp_path, 2, str(tmp_path / "checkpoint-1"))
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-11", "checkpoint-9.damaged"]
    rotate(tmp_path, 1, str(tmp_path / "checkpoint-1"))
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-11", "checkpoint-9.damaged"]


def test_rotation_does_not_count_unsealed_folders(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "checkpoint-5").mkdir()
    rotate(tmp_path, 1, None)
    assert (tmp_path / "checkpoint-1").exists(), "the only whole one"
