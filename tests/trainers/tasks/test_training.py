"""Task episodes in training: beside word episodes, by every algorithm, and resumed exactly."""

import copy
import json
from pathlib import Path

import pytest
import torch
from labelled_tasks import CLASSES, write_lines, write_tasks
from same_run import logs, same, state
from small_run import arguments, trainer

from pico_maml import PicoForCausalLM
from pico_maml.trainers import InputError
from pico_maml.trainers.episodes import episode_generator
from pico_maml.trainers.meta.episode_loss import InnerLoop, episode_loss
from pico_maml.trainers.meta.inner_loop import MetaHead
from pico_maml.trainers.tasks.adaptation import evaluate_tasks
from pico_maml.trainers.tasks.files import read_tasks
from pico_maml.trainers.tasks.sampling import TaskEpisode, sample_task_episode
from pico_maml.trainers.tasks.table import TaskTable

TASKS = {"task_share": 0.5, "task_window": 12, "hybrid_ratio": 1.0, "n_way": 5}


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def start(config):
    def new() -> PicoForCausalLM:
        torch.manual_seed(0)
        return PicoForCausalLM(copy.deepcopy(config))

    return new


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_tasks_and_words_take_turns_and_are_logged_apart(start, blocks, tokenizer, file, tmp_path):
    run = trainer(start(), blocks, tokenizer, tmp_path, **TASKS, task_files=[file], max_steps=6, logging_steps=6)
    run.train()
    (log,) = (entry for entry in logged(tmp_path) if "query_loss" in entry)
    assert log["episodes"] == 12
    assert 2 < log["task_episodes"] < 10
    of_tasks = {name.removeprefix("task_") for name in log if name.startswith("task_")} - {"chance", "episodes"}
    assert of_tasks <= log.keys(), "each metric of word episodes, under another name"
    assert of_tasks >= {"query_loss", "query_accuracy", "query_accuracy_before", "prototype_accuracy"}
    assert 1 / 5 <= log["task_chance"] <= 1 / 2
    assert run.model.config.episode["task_classes"] == {t: [f"c{i}" for i in range(n)] for t, n in CLASSES.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"first_order": False, "learn_inner_lr": True},
        {"meta_algorithm": "proto-maml", "episode_labels": "shuffled"},
        {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "episode_gradient_share": 0.3},
    ],
    ids=["exact", "proto-maml", "stream"],
)
def test_a_resumed_run_is_bitwise_a_whole_one(changes, start, blocks, tokenizer, file, tmp_path):
    options = {**TASKS, **changes, "task_files": [file], "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    trainer(start(), blocks, tokenizer, tmp_path / "run", **options).train()
    whole = state(tmp_path / "run" / "checkpoint-4"), logs(tmp_path / "run")
    (tmp_path / "run" / "checkpoint-4").rename(tmp_path / "gone")
    trainer(start(), blocks, tokenizer, tmp_path / "run", **options).train(resume_from_checkpoint=True)
    assert same(state(tmp_path / "run" / "checkpoint-4"), whole[0])
    assert logs(tmp_path / "run") == whole[1]
    assert 0 < logs(tmp_path / "run")[-2]["task_episodes"] < logs(tmp_path / "run")[-2]["episodes"]


def test_the_model_uses_as_many_outputs_as_an_episode_has_classes(start, blocks, tokenizer, file, tmp_path):
    run = trainer(start(), blocks, tokenizer, tmp_path, **TASKS, task_files=[file])
    table = run.source.table.select({"two": ["c0", "c1"]})
    episode = sample_task_episode(table, 5, 2, 1, torch.Generator().manual_seed(0))
    run.model(episode=episode).loss.backward()
    gradient = run.model.meta_head.layers[-1].weight.grad
    assert gradient[:2].any()
    assert not gradient[2:].any()


@pytest.mark.parametrize("algorithm", ["maml", "proto-maml", "protonet"])
def test_fewer_ways_are_those_of_a_head_with_fewer_outputs(algorithm):
    torch.manual_seed(0)
    wide = MetaHead(8, 5, layers=2, hidden_dim=6, dropout=0.0)
    narrow = copy.deepcopy(wide)
    narrow.layers[1] = torch.nn.Linear(6, 3)
    with torch.no_grad():
        for part in ("weight", "bias"):
            getattr(narrow.layers[1], part).copy_(getattr(wide.layers[1], part)[:3])
    inner, labels = InnerLoop(algorithm, 4, 0.5), torch.tensor([0, 0, 1, 1, 2, 2])
    support, query = torch.randn(6, 8), torch.randn(6, 8)
    loss, metrics = episode_loss(wide, inner, support, labels, query, labels, None, ways=3)
    same_loss, same_metrics = episode_loss(narrow, inner, support, labels, query, labels, None)
    assert loss == same_loss
    assert {name: float(total) for name, (total, _) in metrics.items()} == {
        name: float(total) for name, (total, _) in same_metrics.items()
    }
    loss.backward()
    same_loss.backward()
    gradients = [head.layers[1].weight.grad for head in (wide, narrow)]
    if algorithm == "maml":
        assert torch.equal(gradients[0][:3], gradients[1])
        assert not gradients[0][3:].any()


def test_tasks_are_learnt_and_shuffled_labels_are_not(start, blocks, tokenizer, file, tmp_path):
    learning = {"task_share": 1.0, "max_steps": 25, "logging_steps": 25, "learning_rate": 3e-3, "hybrid_ratio": 1.0}
    learning |= {"gradient_accumulation_steps": 1, "held_out_tasks": ["four"], "task_files": [file], "head_layers": 1}
    accuracy = {}
    for labels in ("own", "shuffled"):
        options = learning | {"episode_labels": labels, "meta_algorithm": "protonet", "task_window": 12}
        run = trainer(start(), blocks, tokenizer, tmp_path / labels, **options)
        run.train()
        table = TaskTable.from_rows(read_tasks([file]), tokenizer, 12)
        groups = evaluate_tasks(run.model, table, run.args, 12)
        accuracy[labels] = {each.group: each.adaptation.trained[-1].mean for each in groups}
        assert list(accuracy[labels]) == ["held_out_tasks", "training_classes"]
        before = [parameter.clone() for parameter in run.model.parameters()]
        assert [each.figures() for each in evaluate_tasks(run.model, table, run.args, 12)] == [
            each.figures() for each in groups
        ]
        assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))
    assert accuracy["own"]["training_classes"] > accuracy["shuffled"]["training_classes"] + 0.1
    assert accuracy["own"]["training_classes"] > 0.8


def test_a_run_without_text_for_word_episodes_has_those_of_tasks_alone(start, blocks, tokenizer, file, tmp_path):
    options = {"task_files": [file], "n_way": 5, "k_shot": 6, "task_window": 12, "episode_pool": 1, "max_steps": 1}
    with pytest.raises(InputError, match="n_way is 5, but a pool of"):
        trainer(start(), blocks, tokenizer, tmp_path, **options, task_share=0.5)
    trainer(start(), blocks, tokenizer, tmp_path, **options, task_share=1.0).train()


def test_a_model_that_goes_on_remembers_the_tasks_before(start, blocks, tokenizer, file, tmp_path):
    first = trainer(start(), blocks, tokenizer, tmp_path, **TASKS, task_files=[file], held_out_tasks=["two", "six"])
    other = write_lines(tmp_path / "other.jsonl", [row | {"task": "new"} for row in rows_of(file, "four")])
    second = trainer(first.model, blocks, tokenizer, tmp_path, **TASKS, task_files=[other])
    assert second.model.config.episode["task_classes"].keys() == {"four", "new"}
    without = trainer(first.model, blocks, tokenizer, tmp_path, n_way=5)
    assert without.model.config.episode["task_classes"].keys() == {"four", "new"}


def rows_of(file: str, task: str) -> list[dict]:
    return [row for line in Path(file).read_text().splitlines() if (row := json.loads(line))["task"] == task]


def test_a_draw_depends_on_seed_and_step_alone(start, blocks, tokenizer, file, tmp_path):
    run = trainer(start(), blocks, tokenizer, tmp_path, **TASKS, task_files=[file])
    batch = torch.as_tensor(blocks[:4]["input_ids"])[:, :-1].long()
    drawn = [run.source.draw(batch, episode_generator(0, step, 0)) for step in range(40)]
    kinds = [isinstance(episode, TaskEpisode) for episode in drawn]
    assert 8 < sum(kinds) < 32
    again = [run.source.draw(batch, episode_generator(0, step, 0)) for step in range(40)]
    for one, other in zip(drawn, again, strict=True):
        assert torch.equal(one.support.ids, other.support.ids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hybrid_ratio": 0.0}, "task_files has no effect without episodes"),
        (
            {"episode_classes": "clusters", "readout": "word", "hybrid_mode": "add", "meta_algorithm": "protonet"},
            "task_files goes with episodes of words, but episode_classes is clusters",
        ),
    ],
)
def test_arguments_that_exclude_tasks(tmp_path, file, changes, message):
    with pytest.raises(InputError, match=message):
        arguments(tmp_path, task_files=[file], task_share=0.5, **changes)


def test_a_window_longer_than_a_block_is_an_error(start, blocks, tokenizer, file, tmp_path):
    with pytest.raises(InputError, match="task_window is 49, but a block has 48 tokens"):
        trainer(start(), blocks, tokenizer, tmp_path, **TASKS | {"task_window": 49}, task_files=[file])


def test_classes_with_few_texts_are_named(start, blocks, tokenizer, file, tmp_path, caplog):
    few = [{"text": "ab cd", "label": "rare", "task": "four"}]
    rare = write_lines(tmp_path / "rare.jsonl", few)
    run = trainer(start(), blocks, tokenizer, tmp_path, **TASKS, task_files=[file, rare])
    assert "classes with less than k_shot + n_query = 3 texts are never drawn: four/rare" in caplog.text
    assert run.source.classes["four"] == ["c0", "c1", "c2", "c3"]
