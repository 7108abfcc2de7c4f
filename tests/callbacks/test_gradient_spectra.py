"""Gradients of each objective, compared with a backward pass of that loss alone."""

import pytest
import torch
from safetensors.torch import load_file
from small_run import trainer
from torch.nn import functional as F

from pico_maml.callbacks import Dynamics, DynamicsFile, GradientSpectraCallback, load_dynamics
from pico_maml.callbacks.measures import select_modules, singular_values

MODULES = ["attention.v_proj", "swiglu.w_2"]


def plain_loss(hidden, head, targets, num_items_in_batch=None):
    """Next-token loss that allows a second backward pass, unlike the fused one."""
    return F.cross_entropy(head(hidden).flatten(0, 1), targets.flatten())


class Losses:
    """Computes the gradient of each loss with a backward pass of its own."""

    def __init__(self, modules, callback) -> None:
        self.callback = callback
        self.weights = [selected.weight for selected in modules]
        self.sums: dict[str, list] = {}

    def __call__(self, losses) -> None:
        self.callback.objective = None  # its hooks must ignore these passes
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss, self.weights, retain_graph=True, allow_unused=True)
            before = self.sums.get(name, [0] * len(gradients))
            self.sums[name] = [a + (0 if b is None else b) for a, b in zip(before, gradients, strict=True)]


def watched(model, blocks, tokenizer, tmp_path, separable=True, every=2, **changes):
    run = trainer(model, blocks, tokenizer, tmp_path, gradient_accumulation_steps=4, **changes)
    modules = select_modules(run.model, MODULES)
    dynamics = Dynamics(DynamicsFile(tmp_path / "learning_dynamics.jsonl"), every, lambda: 7, run.record)
    callback = GradientSpectraCallback(dynamics, modules, separable)
    run.add_callback(callback)
    run.loss_watchers.append(callback.before_backward)
    return run, modules, callback


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hybrid_mode": "add"},
        {"hybrid_mode": "add", "query_loss_weight": 0.01, "activation_checkpointing": True},
        {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous"},
        {"first_order": False, "hybrid_mode": "add"},
    ],
    ids=["replaced", "added", "small weight, checkpointing", "stream", "second order"],
)
def test_each_objective_has_the_gradient_of_its_own_loss(model, blocks, tokenizer, tmp_path, changes, monkeypatch):
    for module in ("modeling_pico.modeling_pico", "trainers.meta.meta_model"):
        monkeypatch.setattr(f"pico_maml.{module}.next_token_loss", plain_loss)
    run, modules, callback = watched(model, blocks, tokenizer, tmp_path, max_steps=1, every=1, **changes)
    losses = Losses(modules, callback)
    run.loss_watchers.insert(0, losses)
    run.train()
    assert set(losses.sums) == {"next_token", "query"}
    spectra = callback.singular_values(1)
    assert len(spectra) == 2 * len(modules)
    for name, gradients in losses.sums.items():
        for selected, gradient in zip(modules, gradients, strict=True):
            separated = spectra[f"{name}_gradient/{selected.layer}/{selected.name}"]
            expected = singular_values(gradient)
            # A gradient separated from a sum has the rounding error of the larger part.
            torch.testing.assert_close(separated, expected, rtol=1e-3, atol=2e-6 * float(expected[0].clamp(min=0.1)))
    frame = load_dynamics(tmp_path)
    assert set(frame.objective) == {"next_token", "query"}
    assert set(frame.quantity) == {"effective_rank", "proportional_effective_rank"}
    assert frame.step.eq(1).all()


def test_an_objective_absent_from_the_step_has_no_rows(model, blocks, tokenizer, tmp_path):
    run, _, callback = watched(model, blocks, tokenizer, tmp_path, hybrid_ratio=0.0, max_steps=3)
    run.train()
    frame = load_dynamics(tmp_path)
    assert set(frame.objective) == {"next_token"}
    assert sorted(set(frame.step)) == [2, 3], "none before the first step"
    assert not callback.sums, "nothing is kept"
    assert not any(p._backward_hooks for p in run.model.parameters())
    logs = [entry for entry in run.state.log_history if "effective_rank/next_token/swiglu.w_2" in entry]
    assert [entry["step"] for entry in logs] == [2, 3]


def test_inseparable_losses_are_measured_as_a_sum(model, blocks, tokenizer, tmp_path):
    run, *_ = watched(model, blocks, tokenizer, tmp_path, separable=False, max_steps=1, hybrid_mode="add")
    run.train()
    assert set(load_dynamics(tmp_path).objective) == {"next_token", "sum"}


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_measuring_gradients_leaves_the_weights_bitwise_equal(model, blocks, tokenizer, tmp_path, mode):
    initial = {name: p.clone() for name, p in model.state_dict().items()}
    run, *_ = watched(model, blocks, tokenizer, tmp_path / "with", max_steps=4, every=1, hybrid_mode=mode)
    run.train()
    run.save_model(tmp_path / "with")
    model.load_state_dict(initial)
    plain = trainer(model, blocks, tokenizer, tmp_path / "without", gradient_accumulation_steps=4, hybrid_mode=mode)
    plain.train()
    plain.save_model(tmp_path / "without")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("with", "without"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
