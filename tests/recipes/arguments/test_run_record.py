import json

import pytest

from pico_maml.recipes.arguments import run_record
from pico_maml.recipes.arguments.run_record import find_record, training_runs

RECORD = {"dataset": "books", "eval_fraction": 0.2, "block_size": 32, "max_steps": 9, "n_way": 4}


def write(folder, **changes) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "arguments.json").write_text(json.dumps(RECORD | changes))
    return str(folder)


BELOW = ("", "checkpoint-5", "checkpoints/step_5", "checkpoint-5.damaged", "checkpoint-5/run")


@pytest.mark.parametrize("below", BELOW)
def test_record_lies_beside_a_model_or_above_its_checkpoints(below, tmp_path):
    write(tmp_path / "run")
    (tmp_path / "run" / below).mkdir(parents=True, exist_ok=True)
    if below.endswith("run"):
        (tmp_path / "run" / "arguments.json").rename(tmp_path / "run" / below / "arguments.json")
        below = "checkpoint-5"
    for record in (find_record(str(tmp_path / "run" / below)), find_record(str(tmp_path / "run"), None, below)):
        corpus = record.corpus
        assert (corpus.dataset, corpus.eval_fraction, corpus.block_size) == ("books", 0.2, 32)


def test_a_model_in_a_run_that_is_none_of_its_checkpoints_has_no_record(tmp_path):
    write(tmp_path / "run")
    for name in ("ner", "export", "best"):
        (tmp_path / "run" / name).mkdir()
        assert find_record(str(tmp_path / "run" / name)) is None


def test_a_run_of_an_earlier_version_held_out_rows(tmp_path):
    for changes, rule in (({}, "row"), ({"split_by": "document"}, "document")):
        record = find_record(write(tmp_path / rule, **changes))
        assert record is not None
        assert record.corpus.split_by == rule


def test_arguments_of_another_command_are_no_record(tmp_path):
    (tmp_path / "arguments.json").write_text('{"model": "a", "dataset": "b", "block_size": 3, "eval_fraction": 0.1}')
    assert find_record(str(tmp_path)) is None


def test_argument_that_an_earlier_version_did_not_record_has_the_value_it_worked_by(tmp_path, monkeypatch):
    monkeypatch.setitem(run_record.EARLIER, "text_column", "old")
    assert find_record(write(tmp_path / "run")).corpus.text_column == "old"
    assert find_record(write(tmp_path / "new", text_column="text")).corpus.text_column == "text"


def test_a_link_to_a_checkpoint_has_the_record_of_its_run(tmp_path):
    write(tmp_path / "run")
    (tmp_path / "run" / "checkpoint-5").mkdir()
    (tmp_path / "best").symlink_to(tmp_path / "run" / "checkpoint-5")
    assert find_record(str(tmp_path / "best")) is not None


def test_runs_that_a_run_goes_on_from_are_followed_until_a_record_is_missing(tmp_path):
    first = write(tmp_path / "first")
    second = write(tmp_path / "second", init_from=first, dataset="papers")
    runs, complete = training_runs(second)
    assert [run.corpus.dataset for run in runs] == ["papers", "books"]
    assert complete
    assert training_runs(write(tmp_path / "third", init_from=str(tmp_path / "none")))[1] is False
    assert training_runs(str(tmp_path / "none")) == ([], False)
    circle = write(tmp_path / "circle", init_from=str(tmp_path / "circle"))
    assert training_runs(circle)[1] is False
