"""The weight that scales the gradient of episodes: known norms, and the steps of small runs."""

import copy
import json
import math

import pytest
import torch
from small_run import trainer

from pico_maml.trainers.meta.gradient_share import GradientShare

# One step of gradient descent at a learning rate of 1: the change of the weights is the gradient.
ONE_STEP = {"hybrid_ratio": 1.0, "max_steps": 1, "gradient_accumulation_steps": 1, "episode_gradient_share": 0.25}
ONE_STEP |= {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0}
STREAM = {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "n_way": 3, "k_shot": 1}
# A stream has no states before its first micro-batch.
KINDS = {
    "replace": {},
    "add": {"hybrid_mode": "add"},
    "prototypes": {"hybrid_mode": "add", "meta_algorithm": "protonet", "readout": "last"},
    "stream": {**STREAM, "gradient_accumulation_steps": 2},
    "shuffled": {"episode_labels": "shuffled"},
}


def decoder(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith("pico_decoder.")}


def length(vectors) -> float:
    return math.sqrt(sum(float(vector.double().square().sum()) for vector in vectors.values()))


def gradient(model, loss) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if name.startswith("pico_decoder.")}
    model.zero_grad()
    return found


def test_weight_of_known_norms():
    share = GradientShare(0.1)
    assert share.weight == 0
    share.add(0, {"next_token": 3.0, "query": 60.0})
    assert share.weight == pytest.approx(0.1 * 3 / 60)
    share.add(8, {"next_token": 5.0, "query": 20.0})
    assert share.norms == {"next_token": 4.0, "query": 40.0}, "the newest counts half"
    assert share.weight == pytest.approx(0.1 * 4 / 40)


@pytest.mark.parametrize("norm", [0.0, math.nan, math.inf])
def test_a_norm_that_gives_no_weight_is_measured_again_with_the_next_episode(norm):
    share = GradientShare(0.1)
    share.add(3, {"next_token": 3.0, "query": norm})
    assert share.weight == 0
    assert share.is_due(3)
    share.add(3, {"next_token": 3.0, "query": 6.0})
    share.add(16, {"next_token": norm, "query": 6.0})
    assert share.weight == pytest.approx(0.05)
    assert share.is_due(16)


def test_measurements_become_rare():
    share, steps = GradientShare(0.1), []
    for step in range(1500):
        if share.is_due(step):
            share.add(step, {"next_token": 1.0, "query": 1.0})
            assert not share.is_due(step), "once a step"
            steps.append(step)
    assert steps == [0, 8, 16, 32, 64, 128, 256, 456, 656, 856, 1056, 1256, 1456]


def test_a_checkpoint_restores_the_means():
    share, same, fresh = GradientShare(0.1), GradientShare(0.1), GradientShare(0.1)
    share.add(7, {"next_token": 1 / 3, "query": 0.7})
    same.load(share.state())
    assert (same.norms, same.measured_at) == (share.norms, 7)
    fresh.load({})
    assert fresh.is_due(0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_has_a_gradient_of_its_share_of_the_length(kind, model, blocks, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("pico_maml.trainers.meta.objective_gradients.TOKENS_PER_PASS", 3 * 48)  # two passes
    run = trainer(model, blocks, tokenizer, tmp_path, **ONE_STEP | KINDS[kind])
    start, texts, passes = copy.deepcopy(run.model), [], []
    training_step = run.training_step

    def recorded(model, inputs, *rest):
        texts.append(dict(inputs))
        return training_step(model, inputs, *rest)

    run.training_step = recorded
    run.model.register_forward_pre_hook(lambda model, args, inputs: passes.append(inputs), with_kwargs=True)
    run.train()
    end = decoder(run.model)
    change = {name: weight - end[name] for name, weight in decoder(start).items()}
    next_tokens = [
        gradient(start, start(text["input_ids"], shift_labels=text["shift_labels"], skip_logits=True).loss)
        for text in texts
    ]
    next_token = next_tokens[-1]
    query = gradient(start, start(**{**passes[-1], "shift_labels": None, "query_weight": 1.0}).loss)
    weight = 0.25 * length(next_token) / length(query)
    (entry,) = (row for row in logs(tmp_path) if "query_loss_weight" in row)
    assert entry["query_loss_weight"] == pytest.approx(weight, rel=1e-4)
    # What is left of the step without next-token prediction, which is trained on where episodes are added.
    if kind not in ("replace", "shuffled"):
        change = {name: moved - sum(own[name] for own in next_tokens) / len(texts) for name, moved in change.items()}
    assert len(texts) * length(change) == pytest.approx(0.25 * length(next_token), rel=1e-3)
    for name, moved in change.items():
        torch.testing.assert_close(len(texts) * moved, weight * query[name], atol=1e-6, rtol=1e-3)


def test_measuring_changes_nothing_but_the_weight(model, blocks, tokenizer, tmp_path):
    """With the weight that a run measured, a plain run ends with the same weights."""
    options = {"max_steps": 6, "head_dropout": 0.3, "bf16": True}
    share = trainer(
        copy.deepcopy(model), blocks, tokenizer, tmp_path / "share", episode_gradient_share=0.25, **options
    )
    share.train()
    (weight,) = {row["query_loss_weight"] for row in logs(tmp_path / "share") if "query_loss_weight" in row}
    plain = trainer(model, blocks, tokenizer, tmp_path / "plain", query_loss_weight=weight, **options)
    plain.train()
    same = dict(plain.model.named_parameters())
    assert all(torch.equal(p, same[name]) for name, p in share.model.named_parameters())


def logs(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
