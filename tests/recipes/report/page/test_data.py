"""What the page draws of a run."""

import json

from report_runs import write_run

from pico_maml.recipes.report.page.data import page_data
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
