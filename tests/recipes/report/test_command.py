import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from report_runs import write_run

from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.report import command as report
from pico_maml.trainers import InputError
from pico_maml.trainers.tuning.few_shot import FewShotScore
from pico_maml.trainers.tuning.few_shot_files import save_few_shot


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> Path:
    """A report of a run with episodes and a vanilla run."""
    root = tmp_path_factory.mktemp("report")
    runs = [write_run(root / "demo", dynamics=True), write_run(root / "vanilla", episodes=False, seed=1)]
    report.main([*map(str, runs), "--output", str(root / "out"), "--formats", "png"])
    return root / "out"


def test_report_holds_page_figures_and_tables(reported):
    figures = {path.stem for path in (reported / "figures").glob("*.png")}
    assert figures >= {
        "figure_02-loss_and_perplexity",
        "figure_04-support_and_query_accuracy",
        "figure_05-head_weights",
        "figure_06-phases-run_1",
        "figure_06-phases-run_2",
        "figure_09-query_accuracy",
        "figure_10-support_accuracy",
        "figure_11-head_weight_mean",
        "figure_12-head_weight_std",
        "figure_30-proportional_effective_rank_of_gradients",
        "figure_31-effective_rank_of_weights",
        "figure_32-proportional_effective_rank_of_weights",
        "figure_33-proportional_effective_rank_by_run",
        "model_card-run_1",
        "model_card-dynamics-run_1",
    }
    assert {path.suffix for path in (reported / "tables").iterdir()} == {".csv", ".tex"}
    summary = pd.read_csv(reported / "tables" / "summary.csv").set_index("run")
    assert summary.loc["demo", "query accuracy"] == 0.31
    assert summary.loc["vanilla", "fresh head"] == 0.3
    assert pd.isna(summary.loc["vanilla", "query accuracy"])
    curves = pd.read_csv(reported / "tables" / "curves.csv")
    last = curves[(curves["run"] == "demo") & (curves["metric"] == "next_token_loss")].iloc[-1]
    assert (last["step"], last["tokens"], last["seconds"]) == (300, 300_000, 150)
    assert (last["next_token_tokens"], last["compute_seconds"], last["compute_unit"]) == (150_000, 600, "CPU")
    dynamics = pd.read_csv(reported / "tables" / "learning_dynamics.csv")
    assert set(dynamics["run"]) == {"demo"}, "the other run measured none"
    last = dynamics[dynamics["step"] == 300].iloc[0]
    assert (last["tokens"], last["compute_seconds"], last["seconds"]) == (300_000, 600, 150)
    assert last["flops"] > 0
    cost = pd.read_csv(reported / "tables" / "cost.csv").set_index("run")
    assert cost.loc["vanilla", "share of next-token prediction alone"] == pytest.approx(1)
    assert cost.loc["demo", "FLOPs a step"] < cost.loc["vanilla", "FLOPs a step"]
    page = (reported / "index.html").read_text()
    assert "behind its own class prototypes" in page
    assert "too few runs to say" in page
    assert "http://" not in page.split('<script type="application/json"')[0]


def test_a_second_report_replaces_the_first_keeps_other_files_and_draws_few_shot_results(reported, tmp_path, capsys):
    shutil.copytree(reported, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("a note")
    stale = tmp_path / "out" / "figures" / "figure_09-query_accuracy.png"
    assert stale.exists()
    folder = write_run(tmp_path / "run", episodes=False, steps=100, finished=False)
    scores = [
        FewShotScore("linear", shots, draw, 9, "test", 0.1 * shots + 0.01 * draw)
        for shots in (1, 5)
        for draw in range(3)
    ]
    save_few_shot(folder / "few", {"few_shot_treebank": "da_ddt"}, scores)
    page = report.main([str(folder), "--output", str(tmp_path / "out"), "--formats", "png"])
    assert not stale.exists()
    assert (tmp_path / "out" / "mine.txt").read_text() == "a note"
    assert "step 100 of 300" in page.read_text()
    assert str(page) in capsys.readouterr().out

    table = pd.read_csv(tmp_path / "out" / "tables" / "few_shot.csv")
    assert list(table["f1"].round(3)) == [0.11, 0.51]
    assert (table["draws_low"] < table["f1"]).all()
    assert "Few labelled sentences" in page.read_text()
    assert 'class="paper"><svg' in page.read_text()
    assert (tmp_path / "out" / "figures" / "few_shot.png").exists()


def test_report_of_a_pretrained_run(pretrained, tmp_path):
    page = report.main([str(pretrained), "--output", str(tmp_path / "out"), "--formats", "png"])
    assert "Finished, step 4 of 4" in page.read_text()


@pytest.mark.parametrize("content", ["", '{"step": 10, "next_tok', '{"eval_perplexity": 400.0, "step": 0}\n'])
def test_report_of_a_run_without_curves(tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text(content)
    page = report.main([str(tmp_path / "run"), "--output", str(tmp_path / "out"), "--formats", "none"])
    assert "no learning dynamics were measured" in page.read_text()


def test_report_of_ner_sweeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "demo")
    row = {"precision": 1.0, "recall": 0.5, "f1": 0.6, "support": 3}
    for pretraining, correct in (("vanilla", 1), ("maml", 2)):
        result = {"size": "tiny", "pretraining": pretraining, "path": "demo" if pretraining == "maml" else "other"}
        result |= {"mode": "full", "train_on": "xx_a", "seed": 1, "entities": {"xx_a": []}}
        result |= {"scores": {"xx_a": {**row, "strict_f1": 0.6, "classes": {"PER": row}}}}
        result |= {"counts": {"xx_a": [[int(i < correct), 1, 1] for i in range(3)]}}
        path = tmp_path / "sweep" / "results" / f"{pretraining}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
    options = ["--formats", "png", "--bootstrap_samples", "20", "--uner_dir", str(tmp_path)]
    page = report.main(["demo", "--output", "out", "--sweeps", "sweep", *options]).read_text()
    assert "Table 9" in page
    assert "tiny maml, full fine-tuning" in page
    assert "No error analysis" in page
    assert "never two methods: not enough runs to say which method is better" in page
    names = {path.name for path in Path("out/tables").iterdir()} | {
        path.name for path in Path("out/figures").iterdir()
    }
    assert {"table_9.csv", "table_9.tex", "heat_map-tiny-maml-full.png", "figure_03-difference_by_class.png"} <= names


def test_wrong_arguments_raise_input_errors_and_write_nothing(tmp_path, capsys):
    folder = write_run(tmp_path / "runs" / "a", steps=20)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    cases = [
        ([], "no run given"),
        ([str(tmp_path / "nowhere")], "is not a folder"),
        ([str(tmp_path / "runs")], f"did you mean {folder}"),
        ([str(foreign)], "is not a run, it has no metrics.jsonl"),
        ([str(folder), str(folder)], "is given twice"),
        ([str(folder), "--output", str(foreign)], "holds other files than a report"),
        ([str(folder), "--output", str(folder)], "holds other files than a report"),
        ([str(folder), "--output", str(foreign / "thesis.tex")], "is a file, output must be a folder"),
        ([str(folder), "--formats", "bmp"], "formats must be one of png, pdf, svg, none, got 'bmp'"),
        ([str(folder), "--baseline", "m", "--treatment", "m"], "baseline and treatment are both 'm'"),
        (["--output", str(tmp_path / "out"), str(folder)], "no argument takes"),
        ([str(folder), "--sweeps", str(foreign), "--output", str(tmp_path / "out")], "no finished run in"),
    ]
    for argv, message in cases:
        with pytest.raises(InputError, match=message.replace("(", r"\(")):
            report.main(argv if "--output" in argv else [*argv, "--output", str(tmp_path / "out")])
    assert sorted(path.name for path in foreign.iterdir()) == ["thesis.tex"]
    with pytest.raises(SystemExit):
        run(lambda: report.main(["--output", str(tmp_path / "out")]))
    assert capsys.readouterr().err.startswith("error: no run given")
