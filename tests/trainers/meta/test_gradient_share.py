"""The weight that scales the gradient of episodes: known norms, and the steps of small runs."""

import copy
import json
import math

import pytest
import torch
from one_step import ONE_STEP, check_gradient_share
from small_run import trainer

from pico_maml.trainers.meta.gradient_share import GradientShare

STREAM = {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "n_way": 3, "k_shot": 1}
# A stream has no states before its first micro-batch.
KINDS = {
    "replace": {},
    "add": {"hybrid_mode": "add"},
    "prototypes": {"hybrid_mode": "add", "meta_algorithm": "protonet", "readout": "last"},
    "stream": {**STREAM, "gradient_accumulation_steps": 2},
    "shuffled": {"episode_labels": "shuffled"},
}


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
    check_gradient_share(trainer(model, blocks, tokenizer, tmp_path, **ONE_STEP | KINDS[kind]), monkeypatch)


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
