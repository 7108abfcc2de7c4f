"""What the page draws of a run."""

import json

from report_runs import write_run

from pico_maml.recipes.report.page.data import POINTS_OF_THE_PAGE, page_data, points_of_a_curve
from pico_maml.trainers.runs.reader import load_runs


def test_gradients_of_both_objectives_share_one_chart(tmp_path):
    run = write_run(tmp_path / "run", steps=20)
    with (run / "metrics.jsonl").open("a") as file:
        measured = {"gradient_norm/next_token": 1.5, "gradient_norm/query": 30.0, "gradient_cosine": -0.05}
        file.write(json.dumps(measured | {"clipped_steps": 0.6, "tokens_seen": 30_000, "step": 30}) + "\n")
    charts = {chart["key"]: chart for chart in page_data(load_runs([str(run)]), [])["charts"]}
    assert [(line["name"], line["y"]) for line in charts["gradient_norm"]["series"]] == [
        ("next-token loss", [1.5]),
        ("query loss of episodes", [30.0]),
    ]
    assert charts["gradient_norm"]["log"]
    assert charts["gradient_cosine"]["series"][0]["y"] == [-0.05]
    assert charts["clipped_steps"]["series"][0]["y"] == [0.6]
    assert charts["clipped_steps"]["percent"]


def test_run_without_such_logs_has_no_such_charts(tmp_path):
    charts = page_data(load_runs([str(write_run(tmp_path / "run"))]), [])["charts"]
    assert not {"gradient_norm", "gradient_cosine", "clipped_steps"} & {chart["key"] for chart in charts}


def test_many_curves_share_the_points_of_the_page(tmp_path, monkeypatch):
    assert points_of_a_curve(10) == 1500
    assert points_of_a_curve(1000) == POINTS_OF_THE_PAGE // 1000
    assert points_of_a_curve(10**6) == 50
    monkeypatch.setattr("pico_maml.recipes.report.page.data.POINTS_OF_THE_PAGE", 0)
    run = write_run(tmp_path / "run", steps=3000)
    data = page_data(load_runs([str(run)]), [])
    series = [line for chart in data["charts"] for line in chart["series"]]
    assert max(len(line["y"]) for line in series) == data["points"] == 50
    losses = next(line for line in series if len(line["y"]) == 50)
    assert (losses["step"][0], losses["step"][-1]) in {(0, 3000), (10, 3000)}
