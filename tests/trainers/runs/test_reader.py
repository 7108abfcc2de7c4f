import json
import os
import time

import numpy as np
import pandas as pd
import pytest
from report_runs import CPU_SECONDS_A_STEP, SECONDS_A_STEP, TOKENS_A_STEP, write_run

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.learning_dynamics import DynamicsFile
from pico_maml.trainers.runs.reader import labels, load_run, load_runs


def relog(folder, change):
    """Change every line of metrics.jsonl in place."""
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_lines_that_are_read_in_parts_are_those_of_one_part(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a", steps=100)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 100, "late": 1.0}) + "\n" + '{"torn\n')
    whole = load_run(folder, "a")
    monkeypatch.setattr("pico_maml.trainers.runs.reader.LINES_AT_ONCE", 2)
    in_parts = load_run(folder, "a")
    pd.testing.assert_frame_equal(in_parts.metrics, whole.metrics, check_like=True)
    assert in_parts.metrics["step"].dtype == np.int64
    assert "1 line of metrics.jsonl could not be read" in in_parts.notes


def test_evaluations_get_all_axes_from_the_logs_around_them(tmp_path):
    run = load_run(write_run(tmp_path / "a", steps=100), "a")
    evaluated = run.curve("eval_perplexity").set_index("step")
    assert list(evaluated["next_token_tokens"]) == [0, 25 * TOKENS_A_STEP, 50 * TOKENS_A_STEP]
    assert list(evaluated["compute_seconds"]) == [0, 50 * CPU_SECONDS_A_STEP, 100 * CPU_SECONDS_A_STEP]
    assert run.compute_unit == "CPU"
    assert list(evaluated.index) == [0, 50, 100]
    assert list(evaluated["tokens"]) == [0, 50 * TOKENS_A_STEP, 100 * TOKENS_A_STEP]
    assert list(evaluated["seconds"]) == [0, 50 * SECONDS_A_STEP, 100 * SECONDS_A_STEP]
    assert run.cost is not None
    expected = run.cost.token * 50 * TOKENS_A_STEP + run.cost.episode * 100
    assert evaluated.loc[100, "flops"] == pytest.approx(expected)
    assert (run.status, run.notes) == ("finished", ["no learning dynamics were measured"])


def test_an_evaluation_between_two_logs_is_interpolated_on_every_axis(tmp_path):
    folder = write_run(tmp_path / "a", steps=100)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 25, "eval_perplexity": 1.0}) + "\n")
    run = load_run(folder, "a")
    at = run.curve("eval_perplexity").set_index("step").loc[25]
    assert (at["tokens"], at["next_token_tokens"]) == (25 * TOKENS_A_STEP, 12.5 * TOKENS_A_STEP)
    assert (at["compute_seconds"], at["seconds"]) == (25 * CPU_SECONDS_A_STEP, 25 * SECONDS_A_STEP)
    assert run.cost is not None
    assert at["flops"] == pytest.approx(run.cost.token * at["next_token_tokens"] + run.cost.episode * 25)


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ({"init_from": "runs/a"}, "held-out text is what this run held out; it started from the weights of runs/a"),
        ({"revisions": [], "dataset": "books"}, "measured on books: training text unknown"),
        (
            {"revisions": [], "text": {"name": "5 % of books", "relation": "held out from training"}},
            "measured on 5 % of books: held out from training",
        ),
    ],
)
def test_notes_tell_what_is_known_of_the_text(arguments, note, tmp_path):
    folder = write_run(tmp_path / "a", steps=100)
    path = folder / "arguments.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | arguments))
    assert note in load_run(folder, "a").notes


def test_gpu_seconds_are_read_with_their_unit(tmp_path):
    folder = write_run(tmp_path / "a", steps=100)
    relog(folder, lambda line: line.update(training_gpu_seconds=line.pop("training_cpu_seconds", None)))
    run = load_run(folder, "a")
    assert run.compute_unit == "GPU"
    assert run.last("compute_seconds") == 100 * CPU_SECONDS_A_STEP


def test_a_run_that_logged_no_compute_seconds_has_all_other_axes(tmp_path):
    folder = write_run(tmp_path / "a", steps=100, dynamics=True)
    relog(folder, lambda line: line.pop("training_cpu_seconds", None))
    run = load_run(folder, "a")
    assert run.compute_unit == ""
    assert any("CPU or GPU seconds unknown" in note for note in run.notes)
    for frame in (run.metrics, run.dynamics):
        assert frame["compute_seconds"].isna().all()
        assert frame[["tokens", "next_token_tokens", "flops", "seconds"]].notna().all(axis=None)


def test_compute_seconds_end_where_they_were_last_logged(tmp_path):
    folder = write_run(tmp_path / "a", steps=100)
    relog(folder, lambda line: line["step"] > 50 and line.pop("training_cpu_seconds", None))
    evaluated = load_run(folder, "a").curve("eval_perplexity").set_index("step")
    assert evaluated["compute_seconds"].loc[50] == 50 * CPU_SECONDS_A_STEP
    assert np.isnan(evaluated["compute_seconds"].loc[100])
    assert evaluated["tokens"].loc[100] == 100 * TOKENS_A_STEP


def test_an_evaluation_after_the_last_training_log_has_its_place_on_every_axis(tmp_path):
    folder = write_run(tmp_path / "a", steps=100)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["step"] <= 90 or "eval_perplexity" in line]
    kept.append({"step": 95, "eval_perplexity": 1.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    results = {"tokens_seen": 100 * TOKENS_A_STEP, "next_token_tokens": 50 * TOKENS_A_STEP, "episodes": 100}
    (folder / "results.json").write_text(json.dumps({"steps": 100, **results}))
    run = load_run(folder, "a")
    at = run.curve("eval_perplexity").set_index("step")
    for step in (95, 100):
        assert at.loc[step, "tokens"] == step * TOKENS_A_STEP
        assert at.loc[step, "flops"] == pytest.approx(
            run.cost.token * step / 2 * TOKENS_A_STEP + run.cost.episode * step
        )
        assert at.loc[step, "seconds"] == pytest.approx(step * SECONDS_A_STEP)
        assert at.loc[step, "compute_seconds"] == pytest.approx(step * CPU_SECONDS_A_STEP)


def test_learning_dynamics_get_all_axes(tmp_path):
    run = load_run(write_run(tmp_path / "a", dynamics=True), "a")
    rows = run.dynamics[run.dynamics["step"] == 200]
    assert set(rows["seconds"]) == {200 * SECONDS_A_STEP}
    assert set(rows["compute_seconds"]) == {200 * CPU_SECONDS_A_STEP}
    assert set(rows["next_token_tokens"]) == {100 * TOKENS_A_STEP}
    assert set(rows["flops"]) == {run.curve("eval_perplexity").set_index("step")["flops"].loc[200]}
    assert set(rows["tokens"]) == {200 * TOKENS_A_STEP}


def test_learning_dynamics_before_the_first_log_lie_between_the_start_and_it(tmp_path):
    folder = write_run(tmp_path / "a", dynamics=True)
    path = folder / "metrics.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if json.loads(line)["step"] >= 20))
    rows = load_run(folder, "a").dynamics
    assert set(rows.query("step == 0")["seconds"]) == {0}
    assert set(rows.query("step == 10")["seconds"]) == {10 * SECONDS_A_STEP}


def test_damaged_lines_and_missing_files_of_a_crashed_run_are_noted(tmp_path):
    folder = write_run(tmp_path / "a", steps=50, finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"no": "step"}\n{"step": 60, "next_token_loss": NaN}\n{"step": 70, "next_tok')
    run = load_run(folder, "a")
    assert run.status == "training"
    assert "3 lines of metrics.jsonl could not be read" in run.notes
    assert "results.json is missing" in run.notes
    assert run.curve("next_token_loss")["step"].max() == 50
    old = time.time() - 3600
    os.utime(folder / "metrics.jsonl", (old, old))
    assert load_run(folder, "a").status == "stopped"


def test_the_later_of_two_logs_of_a_step_counts(tmp_path):
    folder = write_run(tmp_path / "a", steps=50)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 40, "next_token_loss": 1.5}) + "\n")
    curve = load_run(folder, "a").curve("next_token_loss").set_index("step")["value"]
    assert curve[40] == 1.5
    assert curve.index.is_monotonic_increasing


def test_flops_are_unknown_without_arguments(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "arguments.json").write_text("[]")
    run = load_run(folder, "a")
    assert run.cost is None
    assert "arguments.json is unreadable" in run.notes
    assert run.metrics["flops"].isna().all()
    assert np.isfinite(run.metrics["seconds"]).all()


def test_labels_are_the_shortest_path_ends_that_differ(tmp_path):
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "z"]
    assert labels(paths) == ["x/run", "y/run", f"{tmp_path.name}/z"]
    assert labels(paths[2:]) == ["z"]


def test_a_value_at_or_before_a_step(tmp_path):
    run = load_run(write_run(tmp_path / "a", steps=100), "a")
    assert run.last("tokens_seen", until=59) == 50 * TOKENS_A_STEP
    assert run.last("tokens_seen") == 100 * TOKENS_A_STEP
    assert np.isnan(run.last("tokens_seen", until=5))


def test_learning_dynamics_of_a_checkpoint_are_read_when_the_run_has_none(tmp_path):
    run, checkpoint = write_run(tmp_path / "run"), tmp_path / "checkpoint-10"
    DynamicsFile(write_run(tmp_path / "b", dynamics=True) / "learning_dynamics.jsonl").save(
        checkpoint / "learning_dynamics"
    )
    assert load_run(run, "run").dynamics.empty
    rows = load_run(run, "run", checkpoint).dynamics
    assert set(rows.query("step == 200")["seconds"]) == {200 * SECONDS_A_STEP}


def test_an_empty_folder_gives_an_empty_run(tmp_path):
    run = load_run(tmp_path, "nothing")
    assert (run.steps, run.arguments, run.results, run.ner) == (0, {}, {}, {})
    assert "metrics.jsonl holds no log yet" in run.notes


def test_results_of_ner_fine_tuning_are_read_from_subfolders_and_from_a_tagger(tmp_path):
    folder = write_run(tmp_path / "a")
    ner = {"treebank": "da_ddt", "scores": {"test": {"f1": 0.5}}}
    for name, content in (("ner", json.dumps(ner)), ("torn", '{"treeb'), ("other", '{"steps": 3}')):
        (folder / name).mkdir()
        (folder / name / "results.json").write_text(content)
    assert load_run(folder, "a").ner == {"ner": ner}
    assert load_run(folder / "ner", "ner").ner == {"": ner}


def test_few_shot_results_are_read_from_subfolders(tmp_path):
    folder = write_run(tmp_path / "a")
    few_shot = {"few_shot_treebank": "da_ddt", "curve": [], "few_shot": []}
    (folder / "few").mkdir()
    (folder / "few" / "results.json").write_text(json.dumps(few_shot))
    run = load_run(folder, "a")
    assert (run.few_shot, run.ner) == ({"few": few_shot}, {})


def test_no_folder_raises_an_error():
    with pytest.raises(InputError, match="no run given"):
        load_runs([])
