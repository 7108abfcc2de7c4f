"""One step of gradient descent at a learning rate of 1, in which the change of the weights is the gradient."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from pico_maml.trainers import MAMLTrainer

SHARE = 0.25
ONE_STEP = {"hybrid_ratio": 1.0, "max_steps": 1, "gradient_accumulation_steps": 1, "episode_gradient_share": SHARE}
ONE_STEP |= {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0}
Vectors = dict[str, torch.Tensor]


def decoder(model) -> Vectors:
    return {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith("pico_decoder.")}


def length(vectors: Vectors) -> float:
    return math.sqrt(sum(float(vector.double().square().sum()) for vector in vectors.values()))


def gradient(model, loss) -> Vectors:
    model.zero_grad()
    loss.backward()
    parameters = [(name, p) for name, p in model.named_parameters() if name.startswith("pico_decoder.")]
    found = {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in parameters}
    model.zero_grad()
    return found


def check_gradient_share(run: MAMLTrainer, monkeypatch) -> None:
    """Train for `ONE_STEP`, and compare the gradient of its last micro-batch's episode with plain backward passes."""
    monkeypatch.setattr("pico_maml.trainers.meta.gradients.TOKENS_PER_PASS", 3 * 48)  # two passes
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
    query = gradient(start, start(**{**passes[-1], "shift_labels": None, "query_weight": 1.0}).loss)
    weight = SHARE * length(next_tokens[-1]) / length(query)
    lines = map(json.loads, Path(run.args.output_dir, "metrics.jsonl").read_text().splitlines())
    assert [line["query_loss_weight"] for line in lines if "query_loss_weight" in line] == [
        pytest.approx(weight, rel=1e-4)
    ]
    if run.args.hybrid_mode == "add":
        change = {name: moved - sum(own[name] for own in next_tokens) / len(texts) for name, moved in change.items()}
    assert len(texts) * length(change) == pytest.approx(SHARE * length(next_tokens[-1]), rel=1e-3)
    for name, moved in change.items():
        torch.testing.assert_close(len(texts) * moved, weight * query[name], atol=1e-6, rtol=1e-3)
