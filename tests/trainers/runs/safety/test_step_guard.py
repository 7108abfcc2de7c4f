import json
import math

import pytest
import torch
from safetensors.torch import load_file
from small_run import trainer
from transformers import TrainerCallback

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.safety import StepGuard

FINITE = torch.tensor(1.0)


def judged(guard: StepGuard, loss: float, norm: float = 1.0) -> str | None:
    guard.begin()
    guard.add(torch.tensor(loss))
    guard.add_next_token(torch.tensor(loss))
    return guard.judge(*guard.on_this_process(torch.tensor(norm)))


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_update_with_numbers_that_are_not_finite_is_skipped(loss, norm):
    guard = StepGuard(spike=0)
    assert judged(guard, 1.0) is None
    assert judged(guard, loss, norm) == "not finite"
    assert guard.in_a_row == 1
    assert judged(guard, 1.0) is None
    assert guard.in_a_row == 0


def test_spike_far_above_the_running_mean_is_skipped_and_does_not_move_the_mean():
    generator = torch.Generator().manual_seed(0)
    guard, careless = StepGuard(spike=6), StepGuard(spike=0)
    for loss in (3 + 0.1 * torch.randn(200, generator=generator)).tolist():
        assert judged(guard, loss) is None
        assert judged(careless, loss) is None
    assert guard.mean == pytest.approx(3, abs=0.1)
    before = guard.mean
    assert judged(guard, 5.0) == "spike"
    assert guard.mean == before
    assert judged(careless, 5.0) is None
    assert judged(guard, 1.0) is None, "a good step is no spike"
    again = StepGuard(spike=6)
    again.load(guard.state())
    assert (again.mean, again.variance, again.seen) == (guard.mean, guard.variance, guard.seen)


class Poison(TrainerCallback):
    """Makes the gradient of some steps NaN, as an overflow would."""

    def __init__(self, model, steps: set[int]) -> None:
        self.step = 0
        self.steps = steps
        next(model.parameters()).register_hook(lambda grad: grad * math.nan if self.step in steps else grad)

    def on_step_begin(self, args, state, control, **kwargs):
        self.step = state.global_step + 1


def run(model, blocks, tokenizer, folder, steps, **options):
    made = trainer(model, blocks, tokenizer, folder, max_steps=8, hybrid_ratio=0.0, **options)
    made.add_callback(Poison(made.model, steps))
    return made


class Weights(TrainerCallback):
    """A copy of the weights after each step."""

    def __init__(self) -> None:
        self.after: dict[int, torch.Tensor] = {}

    def on_step_end(self, args, state, control, model, **kwargs):
        self.after[state.global_step] = torch.cat([p.detach().flatten().clone() for p in model.parameters()])


def test_skipped_update_leaves_weights_unchanged_and_is_counted(model, blocks, tokenizer, tmp_path):
    made = run(model, blocks, tokenizer, tmp_path, {3, 6})
    made.add_callback(weights := Weights())
    made.train()
    assert made.counts["updates_skipped"] == 2
    assert all(torch.isfinite(after).all() for after in weights.after.values())
    same = {step for step in range(2, 9) if torch.equal(weights.after[step], weights.after[step - 1])}
    assert {3, 6} <= same <= {3, 6, 8}, "the last learning rate may be 0"
    counts = [
        json.loads(line).get("updates_skipped") for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert counts[:8] == [0, 0, 1, 1, 1, 2, 2, 2]


def test_too_many_skipped_updates_stop_the_run_and_save_the_batch(model, blocks, tokenizer, tmp_path):
    options = {"save_strategy": "steps", "save_steps": 2, "max_skipped_updates": 3}
    message = r"3 updates in a row were skipped, up to step 5 .*not finite.* --resume goes on from checkpoint-4"
    with pytest.raises(InputError, match=message):
        run(model, blocks, tokenizer, tmp_path, {3, 4, 5, 6}, **options).train()
    batch = load_file(tmp_path / "skipped-step-5-process-0.safetensors")["input_ids"]
    assert batch.shape == (2, 4, 48)
    rows = {tuple(row[:-1]) for row in blocks[:]["input_ids"].tolist()}
    assert all(tuple(row) in rows for row in batch.flatten(0, 1).tolist())
    saved = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    good = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert all(torch.equal(saved[name], good[name]) for name in good), "nothing bad was learned since"
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["updates_skipped"]) == (5, 3)
