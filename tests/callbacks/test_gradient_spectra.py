"""Gradients of both objectives while a model trains: the same probe at every step, and no trace in the run."""

import pytest
import torch
from safetensors.torch import load_file
from small_run import trainer

from pico_maml.callbacks import GradientSpectraCallback, Source, load_dynamics
from pico_maml.callbacks.measures import singular_values
from pico_maml.recipes.arguments.dynamics import DynamicsArguments, add_dynamics
from pico_maml.trainers.meta.gradients import objective_gradients
from pico_maml.trainers.runs.charts import CHARTS

RELATIONS = {"gradient_norm", "gradient_cosine"}


@pytest.fixture
def rows(blocks):
    return torch.as_tensor(blocks[-60:]["input_ids"]).long()


def measured(model, blocks, tokenizer, folder, rows, every=2, checkpoint=None, **changes):
    """A run that measures nothing but gradients and weights, and its callback."""
    run = trainer(model, blocks, tokenizer, folder, **{"gradient_accumulation_steps": 4, **changes})
    options = DynamicsArguments(
        dynamics_steps=every, dynamics_probe_rows=0, dynamics_modules=["attention.v_proj", "swiglu.w_2"]
    )
    add_dynamics(run, options, Source(rows, 0), checkpoint)
    (callback,) = (c for c in run.callback_handler.callbacks if isinstance(c, GradientSpectraCallback))
    return run, callback


def gradient_rows(folder):
    frame = load_dynamics(folder)
    return frame[(frame.objective != "") | frame.quantity.isin(RELATIONS)]


def test_values_do_not_depend_on_what_a_step_drew(model, blocks, tokenizer, tmp_path, rows):
    run, _ = measured(model, blocks, tokenizer, tmp_path, rows, every=1, learning_rate=0.0, max_steps=5)
    run.train()
    episodes = [entry["episodes"] for entry in run.state.log_history if "episodes" in entry]
    assert len({after - before for before, after in zip([0, *episodes], episodes, strict=False)}) > 1
    frame = gradient_rows(tmp_path)
    keys = ["quantity", "objective", "module", "layer"]
    counts = frame.groupby(keys).value.agg(["size", "nunique"])
    assert (counts["size"] == 6).all(), "the untrained model and each of five steps"
    assert (counts["nunique"] == 1).all(), "the weights do not change at a learning rate of 0"
    assert len(counts) == 2 * 2 * 2 * 2 + 3  # objectives, quantities, modules, layers; norms and cosine


def test_rows_are_of_the_gradients_on_the_probe(model, blocks, tokenizer, tmp_path, rows):
    run, callback = measured(model, blocks, tokenizer, tmp_path, rows, max_steps=2)
    run.train()
    gradients = objective_gradients(run.model, callback.probe.losses(callback.inner))
    spectra = callback.singular_values(2)
    assert len(spectra) == 2 * 2 * 2
    for objective, own in gradients.items():
        for layer in (0, 1):
            expected = singular_values(own[f"pico_decoder.layers.{layer}.swiglu.w_2.weight"])
            torch.testing.assert_close(spectra[f"{objective}_gradient/{layer}/swiglu.w_2"], expected)
    assert callback.singular_values(1) == {}
    vectors = {
        objective: torch.cat([own[name].flatten() for name, _ in run.model.named_parameters() if "decoder" in name])
        for objective, own in gradients.items()
    }
    last = gradient_rows(tmp_path).query("step == 2").set_index(["quantity", "objective"]).value
    for objective, vector in vectors.items():
        assert last["gradient_norm", objective] == pytest.approx(float(vector.norm()), rel=1e-5)
    cosine = torch.cosine_similarity(vectors["next_token"], vectors["query"], dim=0)
    assert last["gradient_cosine", ""] == pytest.approx(float(cosine), abs=1e-5)
    (log,) = (entry for entry in run.state.log_history if "gradient_cosine" in entry)
    assert log["step"] == 2
    drawn = {line.metric for chart in CHARTS if chart.key in {*RELATIONS, "clipped_steps"} for line in chart.lines}
    assert drawn == {"clipped_steps", "gradient_norm/next_token", "gradient_norm/query", "gradient_cosine"}
    assert drawn <= set(log), "the page finds what it draws"
    assert log["gradient_norm/query"] == pytest.approx(last["gradient_norm", "query"], rel=1e-5)


def test_run_without_episodes_has_no_query_gradient(model, blocks, tokenizer, tmp_path, rows):
    run, _ = measured(model, blocks, tokenizer, tmp_path, rows, hybrid_ratio=0.0, max_steps=3)
    run.train()
    frame = gradient_rows(tmp_path)
    assert set(frame.objective) == {"next_token"}
    assert set(frame.quantity) == {"effective_rank", "proportional_effective_rank", "gradient_norm"}
    assert sorted(set(frame.step)) == [0, 2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hybrid_mode": "add", "first_order": False},
        {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous"},
        {"activation_checkpointing": True, "bf16": True},
        pytest.param({"compile_backbone": True}, marks=pytest.mark.slow),
    ],
    ids=["replaced", "added, second order", "stream", "checkpointing in bf16", "compiled"],
)
def test_measuring_gradients_leaves_the_weights_bitwise_equal(model, blocks, tokenizer, tmp_path, rows, changes):
    initial = {name: p.clone() for name, p in model.state_dict().items()}
    changes = {"max_steps": 3, "head_dropout": 0.1, **changes}
    run, _ = measured(model, blocks, tokenizer, tmp_path / "with", rows, every=1, **changes)
    run.train()
    run.save_model(tmp_path / "with")
    assert {"next_token", "query"} <= set(load_dynamics(tmp_path / "with").objective)
    model.load_state_dict(initial)
    plain = trainer(model, blocks, tokenizer, tmp_path / "without", gradient_accumulation_steps=4, **changes)
    plain.train()
    plain.save_model(tmp_path / "without")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("with", "without"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_resumed_run_keeps_its_probe(model, blocks, tokenizer, tmp_path, rows, caplog):
    changes = {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    run, callback = measured(model, blocks, tokenizer, tmp_path, rows, **changes)
    run.train()
    checkpoint = tmp_path / "checkpoint-2"
    _, resumed = measured(model, blocks, tokenizer, tmp_path, rows[20:], checkpoint=checkpoint, **changes)
    assert torch.equal(resumed.probe.blocks, rows[:3])
    assert resumed.probe.tensors().keys() == callback.probe.tensors().keys()
    assert "earlier version" not in caplog.text


def test_gradients_of_an_earlier_versions_run_are_not_continued(model, blocks, tokenizer, tmp_path, rows, caplog):
    run, callback = measured(model, blocks, tokenizer, tmp_path, rows)
    callback.load_reference({"0/attention.v_proj": torch.zeros(2, 2)})
    assert callback.measure(run.model, run.state) == []
    assert callback.reference() == {}
    assert "gradients are not measured any more: this run was started by an earlier version" in caplog.text
