import numpy as np
import pytest
from report_runs import CPU_SECONDS_A_STEP, SECONDS_A_STEP, TOKENS_A_STEP, write_run

from pico_maml.recipes.report.analysis.cost import cost_table
from pico_maml.trainers.runs.reader import load_run


def test_cost_of_a_run_with_episodes_beside_next_token_prediction_alone(tmp_path):
    run = load_run(write_run(tmp_path / "a"), "a")
    assert run.cost is not None
    row = cost_table([run]).iloc[0]
    flops = run.cost.token * TOKENS_A_STEP / 2 + run.cost.episode
    assert row["FLOPs a step"] == pytest.approx(flops)
    assert row["share of next-token prediction alone"] == pytest.approx(flops / (run.cost.token * TOKENS_A_STEP))
    assert (row["tokens a step"], row["next-token tokens a step"]) == (TOKENS_A_STEP, TOKENS_A_STEP / 2)
    assert (row["unit of compute"], row["seconds of training a step"]) == ("CPU", CPU_SECONDS_A_STEP)
    assert (row["other seconds"], row["wall-clock seconds"]) == (7, 300 * SECONDS_A_STEP)


def test_a_run_without_episodes_costs_what_next_token_prediction_costs(tmp_path):
    row = cost_table([load_run(write_run(tmp_path / "a", episodes=False), "a")]).iloc[0]
    assert row["share of next-token prediction alone"] == pytest.approx(1)
    assert row["episodes a step"] == 0


def test_unknown_costs_are_missing(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "arguments.json").unlink()
    log = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(log.replace("_cpu_seconds", "_cpu"))
    row = cost_table([load_run(folder, "a")]).iloc[0]
    unknown = ["FLOPs a step", "share of next-token prediction alone", "seconds of training", "other seconds"]
    assert np.isnan(row[unknown].astype(float)).all()
    assert row["unit of compute"] == "n/a"
    assert row["tokens a step"] == TOKENS_A_STEP


def test_a_run_that_has_logged_nothing_has_a_row(tmp_path):
    row = cost_table([load_run(tmp_path, "a")]).iloc[0]
    assert np.isnan(row["FLOPs a step"])
