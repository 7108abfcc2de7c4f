"""Pretraining on labelled tasks from the command line, its resume, evaluation and replay."""

import json
import shutil
from pathlib import Path

import pytest
from labelled_tasks import CLASSES, rows, write_entities, write_lines, write_tasks
from pretrain_run import argv
from same_run import logs, same, state

from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.replay import command as replay
from pico_maml.trainers import InputError

OPTIONS = {"eval_episodes": 0, "hybrid_ratio": 1, "dynamics_steps": 0, "console": "quiet", "eval_strategy": "no"}
OPTIONS |= {"task_share": 0.5, "task_window": 12, "held_out_tasks": "two", "held_out_task_classes": 0.3}


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory) -> Path:
    """A folder with the files of tasks and a run."""
    folder = tmp_path_factory.mktemp("tasks")
    pretrain.main(options(folder, corpus))
    return folder


def options(folder: Path, corpus: str, **changes) -> list[str]:
    files = [write_tasks(folder), write_entities(folder)]
    return [*argv(folder / "run", corpus, **OPTIONS | changes), "--task_files", *files]


def evaluation(folder: Path, held_out: list[str], *more: str) -> dict:
    return evaluate.main(["--model", str(folder / "run"), *held_out, "--episodes=6", "--n_way=3", *more])


def test_held_out_tasks_and_classes_are_measured_apart(folder, held_out, capsys):
    files = [str(folder / "tasks.jsonl"), str(folder / "names.conll")]
    results = evaluation(folder, held_out, "--task_files", *files)
    assert "task_adaptation" not in evaluation(folder, held_out)
    groups = {each["group"]: each for each in results["task_adaptation"]}
    assert list(groups) == ["held_out_tasks", "held_out_classes", "training_classes"]
    trained = json.loads((folder / "run" / "config.json").read_text())["episode"]["task_classes"]
    assert {task: len(labels) for task, labels in trained.items()} == {"four": 2, "six": 4, "names": 3}
    assert set(groups["held_out_tasks"]["tasks"]) == {"two"}
    assert groups["held_out_tasks"]["chance"] == pytest.approx(1 / 2)
    assert groups["held_out_tasks"]["classes_available"] == 2
    assert set(groups["held_out_classes"]["tasks"]) <= {"four", "six"}
    assert groups["held_out_classes"]["classes_available"] == 4
    assert groups["held_out_classes"]["chance"] == pytest.approx(1 / 2)
    assert set(groups["training_classes"]["tasks"]) <= {"four", "six", "names"}
    assert 1 / 3 <= groups["training_classes"]["chance"] < 1 / 2
    for group in groups.values():
        queries = sum(task["queries"] for task in group["tasks"].values())
        for point, name in ((group["trained"][0], "before"), (group["trained"][-1], "after")):
            mean = sum(task["queries"] * task[name] for task in group["tasks"].values()) / queries
            assert point["mean"] == pytest.approx(mean)
    printed = capsys.readouterr().out
    assert "Query accuracy on held-out tasks, none of whose classes was in a training episode" in printed
    assert "\n  two: 2-way, prototypes " in printed


def test_a_model_without_tasks_has_all_tasks_held_out(folder, pretrained, held_out):
    file = str(folder / "tasks.jsonl")
    argv = ["--model", str(pretrained), *held_out, "--episodes=2", "--n_way=2", "--task_files", file]
    (group,) = evaluate.main(argv)["task_adaptation"]
    assert group["group"] == "held_out_tasks"
    assert group["classes_available"] == sum(CLASSES.values())
    for more, message in (
        (["--k_shot=9"], "no task of task_files has two classes"),
        (["--task_window=65"], "task_window is 65, but the model reads 64 tokens"),
        (["--episodes=0"], "task_files are for episodes"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate.main([*argv, *more])


def test_a_resumed_run_is_bitwise_a_whole_one_and_an_edited_file_stops_it(folder, corpus, tmp_path):
    run = shutil.copytree(folder, tmp_path / "copy") / "run"
    for name in ("checkpoint-4", "results.json"):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    again = [*argv(run, corpus, **OPTIONS, resume=True), "--task_files"]
    again += [str(folder / name) for name in ("tasks.jsonl", "names.conll")]
    pretrain.main(again)
    assert same(state(run / "checkpoint-4"), state(folder / "run" / "checkpoint-4"))
    assert logs(run) == logs(folder / "run")
    shutil.rmtree(run / "checkpoint-4")
    (run / "results.json").unlink()
    edited = rows()
    edited[0] |= {"label": "c1" if edited[0]["label"] == "c0" else "c0"}
    before = (folder / "tasks.jsonl").read_text()
    try:
        write_lines(folder / "tasks.jsonl", edited)
        with pytest.raises(InputError, match=r"task_files '.*tasks.jsonl .*names.conll' changed since the run in"):
            pretrain.main(again)
        with pytest.raises(InputError, match=r"task_files .*changed since the run in"):
            replay.main(["--run", str(run), "--steps", "1"])
        assert pretrain.main([*again, "--other_corpus=true"])["steps"] == 4
    finally:
        (folder / "tasks.jsonl").write_text(before)
    with pytest.raises(InputError, match=r"other arguments: held_out_tasks \['two'\] -> \['six'\]"):
        pretrain.main([*again, "--max_steps=6", "--held_out_tasks=six"])


def test_replay_prints_the_task_and_the_labels(folder, capsys):
    found = replay.main(["--run", str(folder / "run"), "--steps", "1", "2", "3", "4"])
    episodes = [each["episode"] for each in found if each["episode"] and "task" in each["episode"][0]]
    count = json.loads((folder / "run" / "results.json").read_text())["task_episodes"]
    assert len(episodes) == count > 0
    known = {(row["task"], row["text"]): row["label"] for row in rows()}
    assert {each["task"] for episode in episodes for each in episode} <= {"four", "six", "names"}
    for each in (each for episode in episodes for each in episode if each["task"] != "names"):
        for window in each["support"] + each["query"]:
            assert known[each["task"], window["text"]] == each["label"]
    first = episodes[0][0]
    assert f"  class 0: {first['task']}, {first['label']}\n" in capsys.readouterr().out


def test_a_branch_without_tasks_remembers_those_of_the_run(folder, corpus, tmp_path):
    changes = {name: value for name, value in OPTIONS.items() if "task" not in name} | {"max_steps": 6}
    start = folder / "run" / "checkpoint-2"
    results = pretrain.main(argv(tmp_path / "branch", corpus, **changes, branch_from=start))
    assert "task_episodes" not in results
    configs = [json.loads((run / "config.json").read_text()) for run in (folder / "run", tmp_path / "branch")]
    assert configs[0]["episode"]["task_classes"] == configs[1]["episode"]["task_classes"]


@pytest.mark.parametrize(
    ("changes", "lines", "message"),
    [
        ({}, [{"text": "ab", "label": "x"}], r"line 1: no task"),
        ({"k_shot": 8}, None, r"task 'four' needs two classes of k_shot \+ n_query = 9 different texts"),
        ({"held_out_tasks": "twoo"}, None, r"no task 'twoo' in task_files: there is two"),
        ({"task_share": 0}, None, r"task_share is 0"),
        ({"hybrid_ratio": 0}, None, r"task_files has no effect without episodes"),
    ],
)
def test_wrong_input_ends_before_anything_is_written(corpus, tmp_path, changes, lines, message):
    given = options(tmp_path, corpus, **changes)
    if lines:
        write_lines(tmp_path / "tasks.jsonl", lines)
    with pytest.raises(InputError, match=message):
        pretrain.main(given)
    assert not (tmp_path / "run").exists()
