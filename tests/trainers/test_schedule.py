"""The learning rate where the schedule ends elsewhere than the run."""

import copy

import pytest
import torch
from small_run import arguments, trainer
from transformers.trainer_utils import get_last_checkpoint

from pico_maml.trainers import InputError


def test_linear_schedule_over_200000_steps_is_still_high_at_step_6000(model, blocks, tokenizer, tmp_path):
    rate, warmup, end = 3e-4, 2500, 200_000
    options = {"learning_rate": rate, "warmup_steps": warmup, "lr_scheduler_type": "linear", "max_steps": 6000}
    run = trainer(model, blocks, tokenizer, tmp_path, lr_schedule_steps=end, **options)
    run.create_optimizer_and_scheduler(run.args.max_steps)
    (share, *_) = run.lr_scheduler.lr_lambdas
    assert rate * share(1250) == pytest.approx(rate / 2)
    assert rate * share(2500) == rate
    assert rate * share(6000) == pytest.approx(rate * (end - 6000) / (end - warmup))
    assert rate * share(6000) == pytest.approx(2.95e-4, rel=2e-3)


def test_a_longer_run_with_the_same_schedule_equals_one_that_was_extended(model, blocks, tokenizer, tmp_path):
    options = {"lr_schedule_steps": 12, "lr_scheduler_type": "linear", "warmup_steps": 2, "save_strategy": "steps"}
    whole = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "whole", **options, max_steps=6)
    whole.train()
    short = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "parts", **options, max_steps=3)
    short.train()
    assert short.lr_scheduler.get_last_lr()[0] == pytest.approx(1e-2 * 9 / 10)
    extended = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "parts", **options, max_steps=6)
    extended.train(resume_from_checkpoint=get_last_checkpoint(str(tmp_path / "parts")))
    assert extended.lr_scheduler.get_last_lr()[0] == pytest.approx(1e-2 * 6 / 10)
    for (name, one), other in zip(whole.model.named_parameters(), extended.model.parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("max_steps", [11, -1])
def test_a_schedule_that_ends_before_the_run_raises(tmp_path, max_steps):
    with pytest.raises(InputError, match=f"max_steps is {max_steps} but the schedule ends at lr_schedule_steps 10"):
        arguments(tmp_path, max_steps=max_steps, lr_schedule_steps=10)


def test_all_weights_decay_on_request_but_learned_inner_rates_never(model, blocks, tokenizer, tmp_path):
    decaying = {}
    for everything in (False, True):
        run = trainer(
            copy.deepcopy(model),
            blocks,
            tokenizer,
            tmp_path / str(everything),
            decay_all_weights=everything,
            learn_inner_lr=True,
            weight_decay=0.1,
        )
        run.create_optimizer()
        decaying[everything] = next(
            len(group["params"]) for group in run.optimizer.param_groups if group["weight_decay"] == 0.1
        )
    parameters = [name for name, _ in run.model.named_parameters()]
    assert decaying[True] == len(parameters) - 1
    spared = [name for name in parameters if "norm" in name or "bias" in name]
    assert decaying[False] == decaying[True] - len(spared)
