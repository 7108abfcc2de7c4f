import json
import math

import pandas as pd
import pytest

from pico_maml.trainers.runs.files import CURVES_FILE, DYNAMICS_FILE, DYNAMICS_FOLDER
from pico_maml.trainers.runs.learning_dynamics import DynamicsFile, Row
from pico_maml.trainers.runs.learning_dynamics import load_dynamics as load

COLUMNS = ["step", "tokens", "quantity", "objective", "module", "layer", "head", "source", "value"]


@pytest.fixture
def file(tmp_path):
    file = DynamicsFile(tmp_path / "run" / DYNAMICS_FILE)
    for step in (1, 2, 3):
        file.append(step, 100 * step, [Row("effective_rank", 0.5 / step, module="attention.v_proj", layer=0)])
    file.append(3, 300, [Row("cka", math.nan, layer=1), Row("attention_entropy", 1.5, layer=0, head=2, source="x")])
    return file


def test_rows_are_read_as_a_tidy_table(file):
    frame = load(file.path.parent)
    assert list(frame) == COLUMNS
    assert frame.dtypes[["step", "tokens", "layer", "head"]].tolist() == ["int64"] * 4
    assert frame.value.dtype == "float64"
    assert frame.step.tolist() == [1, 2, 3, 3, 3]
    assert frame.iloc[0].tolist() == [1, 100, "effective_rank", "", "attention.v_proj", 0, -1, "", 0.5]
    assert frame.iloc[4].tolist() == [3, 300, "attention_entropy", "", "", 0, 2, "x", 1.5]
    assert math.isnan(frame.iloc[3].value)


@pytest.mark.parametrize(
    "damage",
    [
        {"tokens": None, "rows": []},
        {"tokens": 1, "rows": None},
        {"tokens": 1, "rows": [7]},
        {"tokens": 1, "rows": [{"value": 1.0}]},
        {"rows": [{"quantity": "cka", "value": 1.0}]},
    ],
)
def test_line_that_is_json_but_damaged_costs_that_line_alone(damage, file):
    whole = load(file.path.parent)
    with file.path.open("a") as lines:
        lines.write(json.dumps({"step": 4, **damage}) + "\n")
    pd.testing.assert_frame_equal(load(file.path.parent), whole)


def test_file_is_strict_json(file):
    def refuse(constant):
        raise AssertionError(constant)

    lines = [json.loads(line, parse_constant=refuse) for line in file.path.read_text().splitlines()]
    assert lines[0] == {
        "step": 1,
        "tokens": 100,
        "rows": [{"quantity": "effective_rank", "value": 0.5, "module": "attention.v_proj", "layer": 0}],
    }


def test_torn_line_is_skipped_and_a_resumed_run_measures_later_steps_again(file):
    whole = load(file.path.parent)
    file.append(4, 400, [Row("cka", 0.1)])
    with file.path.open("a") as half:
        half.write('{"step": 4, "tokens": 400}\n')
        half.write('{"step": 5, "tokens": 500, "rows": [{"quan')
    assert load(file.path.parent).step.max() == 4
    file.lines.cut_back_to(3)
    pd.testing.assert_frame_equal(load(file.path.parent), whole)
    file.append(4, 400, [Row("cka", 0.2)])
    assert load(file.path.parent).step.tolist() == [1, 2, 3, 3, 3, 4]


def test_checkpoint_has_the_same_rows_as_parquet(file, tmp_path):
    checkpoint = tmp_path / "checkpoint-3"
    file.save(checkpoint / DYNAMICS_FOLDER)
    plain = pd.read_parquet(checkpoint / DYNAMICS_FOLDER / CURVES_FILE)
    assert list(plain) == COLUMNS
    for frame in (plain, load(checkpoint), load(checkpoint / DYNAMICS_FOLDER)):
        pd.testing.assert_frame_equal(frame, load(file.path.parent))


def test_run_without_measurements(tmp_path):
    file = DynamicsFile(tmp_path / DYNAMICS_FILE)
    file.append(1, 1, [])
    file.lines.cut_back_to(0)
    assert not file.path.exists()
    file.save(tmp_path / "empty")
    assert load(tmp_path / "empty").empty
    with pytest.raises(FileNotFoundError, match=r"no learning dynamics in .*: neither learning_dynamics\.jsonl"):
        load(tmp_path)


def test_scores_are_rows_beside_the_measured_steps(file):
    file.append(2, 200, [Row("pair_accuracy", 0.75, source="pairs")], task="pairs", content="4 pairs 0a")
    file.append(9, 900, [Row("pair_accuracy", 1.0, source="pairs")], task="pairs", content="4 pairs 0a")
    assert file.measured() == {1, 2, 3}
    assert file.scored() == {(2, "pairs"): "4 pairs 0a", (9, "pairs"): "4 pairs 0a"}
    frame = load(file.path.parent)
    assert list(frame) == COLUMNS
    assert frame[frame.quantity == "pair_accuracy"].value.tolist() == [0.75, 1.0]
