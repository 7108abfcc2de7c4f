import copy

import pytest
import torch
from small_run import trainer

from pico_maml.callbacks import ActivationsCallback, Dynamics, DynamicsFile, load_dynamics
from pico_maml.callbacks.measures import (
    effective_rank,
    linear_cka,
    probe_activations,
    select_modules,
    singular_values,
    spread_positions,
)
from pico_maml.trainers.runs.files import DYNAMICS_FILE

MODULES = ["attention.v_proj", "swiglu.w_2"]


def test_ranks_and_similarity_to_the_first_step_are_written(model, blocks, tokenizer, tmp_path):
    probe = torch.as_tensor(blocks[:2]["input_ids"]).long()
    run = trainer(model, blocks, tokenizer, tmp_path, max_steps=4)
    untrained = copy.deepcopy(run.model)
    dynamics = Dynamics(DynamicsFile(tmp_path / DYNAMICS_FILE), 2, lambda: 0, run.record)
    callback = ActivationsCallback(dynamics, select_modules(run.model, MODULES), probe, 30)
    run.add_callback(callback)
    run.train()
    values = load_dynamics(tmp_path).set_index(["quantity", "module", "layer", "step"]).value
    assert set(values.index.get_level_values("step")) == {0, 2, 4}
    positions = spread_positions(*probe.shape, 30)
    selected = select_modules(run.model, MODULES)
    first = probe_activations(untrained, probe, select_modules(untrained, MODULES), positions)
    last = probe_activations(run.model, probe, selected, positions)
    for (_, module, layer), before, after in zip(selected, first, last, strict=True):
        assert values["cka", module, layer, 0] == pytest.approx(1, abs=1e-4)
        # The reference is in half precision.
        assert values["cka", module, layer, 4] == pytest.approx(linear_cka(before, after), abs=1e-3)
        assert linear_cka(before, after) < 0.99
        rank = effective_rank(singular_values(after))
        assert values["activation_effective_rank", module, layer, 4] == pytest.approx(rank, rel=1e-5)
        share = values["activation_proportional_effective_rank", module, layer, 4]
        assert share == pytest.approx(rank / min(after.shape), rel=1e-5)
    again = ActivationsCallback(dynamics, selected, probe, 30)
    again.load_reference(callback.reference())
    similarities = {
        (row.module, row.layer): row.value for row in again.measure(run.model, run.state) if row.quantity == "cka"
    }
    assert all(similarities[module, layer] == values["cka", module, layer, 4] for _, module, layer in selected)
