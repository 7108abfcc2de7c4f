import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.files import ARGUMENTS_FILE, CLAIM_FILE, DYNAMICS_FILE, METRICS_FILE, RESULTS_FILE
from pico_maml.trainers.runs.folder import check_free_or_same, check_same_run, claimed, earlier_values
from pico_maml.trainers.runs.json_files import write_json

FREE = {"workers"}


def test_folder_without_arguments_must_be_empty_apart_from_a_claim(tmp_path):
    check_free_or_same(tmp_path / "new", {}, FREE)
    (tmp_path / CLAIM_FILE).touch()
    check_free_or_same(tmp_path, {}, FREE)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not empty: choose another output_dir"):
        check_free_or_same(tmp_path, {}, FREE)
    with pytest.raises(InputError, match=r"thesis\.tex is not empty"):
        check_free_or_same(tmp_path / "thesis.tex", {}, FREE)


def test_work_continues_only_with_the_same_arguments(tmp_path):
    write_json(tmp_path / "started" / ARGUMENTS_FILE, {"seeds": [1, 2], "rate": 0.1, "workers": 1})
    now = {"seeds": (1, 2), "rate": 0.1, "workers": 8, "added_in_a_later_version": True}
    check_free_or_same(tmp_path / "started", now, FREE)
    with pytest.raises(InputError, match=r"arguments: rate 0\.1 -> 0\.2, seeds \[1, 2\] -> \[3\]; give the same"):
        check_free_or_same(tmp_path / "started", now | {"seeds": [3], "rate": 0.2}, FREE)


def test_folder_of_another_command_is_not_continued(tmp_path):
    write_json(tmp_path / ARGUMENTS_FILE, {"seed": 1} | {f"option_{i}": i for i in range(9)})
    with pytest.raises(InputError, match=r"arguments: option_0 0 -> None, .*, option_7 7 -> None and 1 more; give"):
        check_free_or_same(tmp_path, {"seed": 1}, FREE)


def test_finished_run_is_resumed_only_with_more_steps(tmp_path, caplog):
    arguments = {"max_steps": 4, "seed": 1}
    write_json(tmp_path / ARGUMENTS_FILE, arguments)
    check_same_run(tmp_path, arguments, 4)
    write_json(tmp_path / RESULTS_FILE, {"steps": 4})
    with pytest.raises(InputError, match="is finished: step 4 of 4; to continue raise max_steps"):
        check_same_run(tmp_path, arguments, 4)
    assert not caplog.messages
    check_same_run(tmp_path, arguments | {"max_steps": 6}, 4)
    assert "max_steps 4 -> 6: the learning-rate schedule now ends at another step" in caplog.text


def test_claim_deletes_what_a_killed_run_left_half_written(tmp_path):
    unfinished = tmp_path / ".unfinished" / "checkpoint-3"
    unfinished.mkdir(parents=True)
    for name in (ARGUMENTS_FILE, METRICS_FILE, DYNAMICS_FILE, RESULTS_FILE):
        (tmp_path / f".{name}.123").touch()
    (tmp_path / METRICS_FILE).touch()
    with claimed(tmp_path, is_main_process=True):
        assert {path.name for path in tmp_path.iterdir()} == {CLAIM_FILE, METRICS_FILE}


def test_claimed_folder_that_stays_empty_is_deleted(tmp_path):
    with claimed(tmp_path / "new", is_main_process=True):
        pass
    assert not (tmp_path / "new").exists()
    with claimed(tmp_path / "other", is_main_process=False):
        assert not (tmp_path / "other").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"), claimed(tmp_path / "file", is_main_process=True):
        pass


def test_arguments_that_an_earlier_version_did_not_record_get_its_values(tmp_path, caplog):
    write_json(tmp_path / ARGUMENTS_FILE, {"max_steps": 4})
    assert earlier_values(tmp_path) == {"held_out_rule": "id", "episode_documents": "any", "split_by": "row"}
    assert "started by an earlier version: it goes on with held_out_rule id" in caplog.text
    write_json(tmp_path / ARGUMENTS_FILE, {"max_steps": 4, "held_out_rule": "stem:german", "split_by": "row"})
    assert earlier_values(tmp_path) == {"episode_documents": "any"}
