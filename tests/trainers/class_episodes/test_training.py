"""Class episodes in training: what is learnt, what is skipped, and exact resumption."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from class_run import HEADS, class_trainer, word_classes
from one_step import ONE_STEP, check_gradient_share
from safetensors.torch import load_file
from small_run import trainer

from pico_maml import PicoForCausalLM
from pico_maml.trainers import InputError, MAMLTrainer
from pico_maml.trainers.word_classes import WordClasses, spelling_table

LEARNING = {"max_steps": 30, "logging_steps": 15, "learning_rate": 1e-2, "query_loss_weight": 0.2}
TIMES = ("seconds", "runtime", "per_second")


@pytest.fixture
def start(config):
    """The same new model at every call."""

    def new() -> PicoForCausalLM:
        torch.manual_seed(0)
        return PicoForCausalLM(copy.deepcopy(config))  # a trainer changes it

    return new


def logs(folder: Path) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in entry.items() if not k.endswith(TIMES)} for entry in entries]


@pytest.mark.parametrize("head", HEADS)
def test_classes_of_held_out_words_are_learnt_and_shuffled_ones_are_not(head, start, blocks, tokenizer, tmp_path):
    """Shuffled classes of training words can be memorised; those of other words cannot be known."""
    accuracy = {}
    for labels in ("own", "shuffled"):
        folder = tmp_path / labels
        run = class_trainer(start(), blocks, tokenizer, folder, head, episode_labels=labels, **LEARNING)
        run.train()
        entry = logs(folder)[1]
        assert entry["episodes"] == 60
        assert entry["next_token_tokens"] == entry["tokens_seen"], "nothing is left out of next-token prediction"
        assert 0.25 <= entry["largest_class_share"] < 0.45
        assert entry["query_accuracy"] > 0.95 or labels == "shuffled"
        accuracy[labels] = on_held_out_words(run, tokenizer, torch.as_tensor(blocks["input_ids"][-60:]).long())
    assert accuracy["own"] > 0.9
    assert accuracy["shuffled"] < 0.45


def on_held_out_words(run: MAMLTrainer, tokenizer, rows: torch.Tensor) -> float:
    """Accuracy of the trained head on the held-out words of a text."""
    _, run.source.table = spelling_table(tokenizer, 330).split(0.2)
    episode = run.source.draw(rows, torch.Generator())
    inputs = run.source.inputs(episode)
    with torch.no_grad():
        output = run.model(rows, episode=episode, inner=run.args.inner_loop(), **inputs)
    total, count = output.metrics["query_accuracy"]
    return float(total / count)


def test_held_out_words_are_in_no_episode(start, blocks, tokenizer, tmp_path):
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "direct")
    drawn = set()
    for row in torch.as_tensor(blocks["input_ids"][:200]).long().split(4):
        drawn |= set(run.source.draw(row, torch.Generator()).words.tolist())
    training, held_out = word_classes().split("form", 0.2)
    assert drawn == set(training.numbers.tolist())
    assert len(held_out) > 10


def test_held_out_classes_are_in_no_episode(start, blocks, tokenizer, tmp_path):
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "memory", held_out_classes=0.2)
    episode = run.source.draw(torch.as_tensor(blocks["input_ids"][:200]).long(), torch.Generator())
    assert set(episode.classes.tolist()) == {1, 2, 3}
    assert run.source.inputs(episode)["memory"].sums.shape == (2, 4, 16), "the head keeps an output for each class"


def test_permuted_identity_renames_the_classes_of_each_episode(start, blocks, tokenizer, tmp_path):
    rows, true = torch.as_tensor(blocks["input_ids"][:8]).long(), word_classes()
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "maml", class_identity="permuted")
    names = set()
    for seed in range(8):
        episode = run.source.draw(rows, torch.Generator().manual_seed(seed))
        pairs = set(zip(true.find(episode.words).tolist(), episode.classes.tolist(), strict=True))
        assert sorted(old for old, _ in pairs) == sorted(new for _, new in pairs) == [0, 1, 2, 3], "one name a class"
        sides = episode.words[: episode.border], episode.words[episode.border :]
        assert not torch.isin(*sides).any(), "support and query have different words"
        names.add(tuple(sorted(pairs)))
    assert len(names) > 3


def test_a_batch_with_too_few_classes_is_a_counted_skip(start, blocks, tokenizer, tmp_path):
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "direct", max_steps=2)
    one_class = WordClasses.from_words(["bal", "zzz"], ["a", "b"], [1, 1])
    run.source.classes = one_class
    run.train()
    assert logs(tmp_path)[-2]["episodes"] < 4
    assert logs(tmp_path)[-2]["episodes"] + logs(tmp_path)[-2]["episodes_skipped"] == 4


@pytest.mark.parametrize("head", HEADS)
def test_resume_is_bitwise(head, start, blocks, tokenizer, tmp_path):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "hybrid_ratio": 0.6}

    def run(name: str):
        return class_trainer(start(), blocks, tokenizer, tmp_path / name, head, **options)

    run("whole").train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    run("part").train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    assert logs(tmp_path / "part") == logs(tmp_path / "whole")
    for file in ("model.safetensors", "maml_state.safetensors"):
        whole, part = (load_file(tmp_path / name / "checkpoint-4" / file) for name in ("whole", "part"))
        assert whole.keys() == part.keys()
        assert [name for name, tensor in whole.items() if not torch.equal(part[name], tensor)] == []
    assert ("class_memory" in whole) == (head == "memory")
    if head == "memory":
        assert whole["class_memory"].norm() > 1


@pytest.mark.parametrize("head", HEADS)
def test_weight_0_trains_the_decoder_as_vanilla_does(head, start, blocks, tokenizer, tmp_path):
    plain = {"max_grad_norm": 0.0, "optim": "sgd", "learning_rate": 1.0}
    run = class_trainer(start(), blocks, tokenizer, tmp_path / "classes", head, query_loss_weight=0.0, **plain)
    vanilla = trainer(start(), blocks, tokenizer, tmp_path / "vanilla", hybrid_ratio=0.0, **plain)
    for each in (run, vanilla):
        each.train()
    for name, weight in vanilla.model.pico_decoder.named_parameters():
        torch.testing.assert_close(run.model.pico_decoder.get_parameter(name), weight, atol=1e-6, rtol=0)


def test_a_middle_layer_trains_the_layers_below_it_alone(start, blocks, tokenizer, tmp_path):
    changes = {"query_loss_weight": 1.0, "max_steps": 1, "class_layer": 1}
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "direct", **changes)
    inputs = torch.as_tensor(blocks["input_ids"][:4]).long()[:, :-1]
    episode = run.source.draw(inputs, torch.Generator())
    run.model(inputs, episode=episode, class_layer=1, inner=run.args.inner_loop()).loss.backward()
    first, second = (layer.attention.q_proj.weight.grad for layer in run.model.pico_decoder.layers)
    assert first.norm() > 0
    assert second is None


def test_a_skipped_episode_is_not_remembered(start, blocks, tokenizer, tmp_path):
    run = class_trainer(start(), blocks, tokenizer, tmp_path, "memory")
    one_word = torch.as_tensor(tokenizer(" bal.")["input_ids"])[None]
    run.source.table = spelling_table(tokenizer, 330)
    assert run.source.draw(one_word, torch.Generator()) is None
    assert not run.source.seen.any()


def test_a_middle_layer_with_activation_checkpointing_trains_alike(start, blocks, tokenizer, tmp_path):
    ends = []
    for checkpointing in (False, True):
        plain = {"optim": "sgd", "learning_rate": 1.0, "class_layer": 1, "activation_checkpointing": checkpointing}
        run = class_trainer(start(), blocks, tokenizer, tmp_path / str(checkpointing), "direct", **plain)
        run.train()
        ends.append(dict(run.model.named_parameters()))
    for name, weight in ends[0].items():
        torch.testing.assert_close(ends[1][name], weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hybrid_ratio": 0}, "has no effect without episodes: raise hybrid_ratio"),
        ({"readout": "mask"}, "needs readout word, got 'mask'"),
        ({"meta_algorithm": "proto-maml"}, "needs a meta_algorithm of protonet, maml, direct, got 'proto-maml'"),
        ({"held_out_rule": "id"}, "needs held_out_rule form or stem:LANGUAGE, got 'id'"),
        ({"hybrid_mode": "replace"}, "needs hybrid_mode add, got 'replace'"),
        ({"class_identity": "permuted"}, "class_identity permuted needs meta_algorithm maml, got 'direct'"),
        ({"class_support": "memory"}, "class_support memory needs meta_algorithm protonet, got 'direct'"),
        ({"class_decay": 1.0}, "class_decay must be at least 0 and below 1, got 1.0"),
        ({"class_layer": 3}, "class_layer is 3, but the model has 2 layers"),
        ({"episode_classes": "words", "readout": "word"}, "readout must be one of mask, previous, last, got 'word'"),
        ({"episode_classes": "words", "readout": "mask"}, "meta_algorithm must be one of"),
    ],
)
def test_settings_that_make_no_sense_are_one_error(changes, message, start, blocks, tokenizer, tmp_path):
    with pytest.raises(InputError, match=message):
        class_trainer(start(), blocks, tokenizer, tmp_path / "run", "direct", **changes)
    assert not (tmp_path / "run").exists()


def test_a_text_without_words_that_have_a_class_is_an_error(start, blocks, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("class_run.word_classes", lambda: WordClasses.from_words(["xxx", "yyy"], ["a", "b"], [1, 1]))
    with pytest.raises(InputError, match="the first 16 blocks have too few words of episode_classes clusters"):
        class_trainer(start(), blocks, tokenizer, tmp_path, "memory")


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("head", HEADS)
def test_a_class_episode_has_a_gradient_of_its_share_of_the_length(
    head, layer, start, blocks, tokenizer, tmp_path, monkeypatch
):
    """Also where the layers above the one that is read have no gradient."""
    run = class_trainer(start(), blocks, tokenizer, tmp_path, head, class_layer=layer, **ONE_STEP)
    check_gradient_share(run, monkeypatch)
