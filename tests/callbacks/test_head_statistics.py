import json

import pytest
import torch
from small_run import trainer

from pico_maml.callbacks import Dynamics, DynamicsFile, HeadStatisticsCallback, load_dynamics
from pico_maml.callbacks.head_statistics import gradient_norm, weight_statistics
from pico_maml.trainers.meta.inner_loop import MetaHead
from pico_maml.trainers.runs.files import DYNAMICS_FILE


def test_weight_statistics_have_known_values_and_exclude_biases():
    head = MetaHead(2, 2, layers=2, hidden_dim=2)
    with torch.no_grad():
        head.layers[0].weight.copy_(torch.tensor([[1.0, -1.0], [1.0, -1.0]]))
        head.layers[1].weight.fill_(2.0)
        head.layers[1].bias.fill_(100.0)
    statistics = weight_statistics(head)
    assert statistics["head_weight_mean"] == 1.0
    assert statistics["head_weight_std"].item() == pytest.approx(
        torch.tensor([1.0, -1, 1, -1, 2, 2, 2, 2]).std().item()
    )


def test_gradient_norm_is_over_all_parameters():
    head = MetaHead(2, 2, layers=1)
    assert gradient_norm(head) is None
    for p in head.parameters():
        p.grad = torch.full_like(p, 2.0)
    assert gradient_norm(head).item() == pytest.approx((6 * 4) ** 0.5)


def test_statistics_are_logged_with_their_step(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, max_steps=4, logging_steps=2, hybrid_ratio=1.0)
    run.add_callback(HeadStatisticsCallback(run.record))
    run.train()
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()][:-1]
    assert [entry["step"] for entry in entries] == [2, 4]
    for entry in entries:
        assert entry["head_weight_std"] > 0
        assert entry["head_grad_norm"] > 0
    final = weight_statistics(run.model.meta_head)
    assert entries[-1]["head_weight_mean"] == pytest.approx(final["head_weight_mean"].item())


def test_rows_of_the_head_and_of_its_layers_before_and_after_the_inner_loop(model, blocks, tokenizer, tmp_path):
    options = {"max_steps": 2, "hybrid_ratio": 1.0, "inner_steps": 0, "gradient_accumulation_steps": 1}
    run = trainer(model, blocks, tokenizer, tmp_path, **options)
    dynamics = Dynamics(DynamicsFile(tmp_path / DYNAMICS_FILE), 1, lambda: 0, run.record)
    run.add_callback(HeadStatisticsCallback(run.record, dynamics))
    run.train()
    values = load_dynamics(tmp_path).set_index(["quantity", "layer", "step"]).value
    assert set(values.index.get_level_values("layer")) == {-1, 0, 1}
    norms = [p.detach().norm().item() for p in run.model.meta_head.parameters() if p.ndim > 1]
    assert [values["head_weight_norm", layer, 2] for layer in (0, 1)] == pytest.approx(norms, rel=1e-5)
    assert values["head_weight_norm", -1, 2] == pytest.approx(torch.tensor(norms).norm().item(), rel=1e-5)
    # Without inner steps the adapted head of a step is the head that the step before left.
    for step in (1, 2):
        adapted = values["head_weight_norm_adapted", -1, step]
        assert adapted == pytest.approx(values["head_weight_norm", -1, step - 1], rel=1e-5)
    assert values["head_weight_norm", -1, 1] != pytest.approx(values["head_weight_norm", -1, 2], rel=1e-5)
