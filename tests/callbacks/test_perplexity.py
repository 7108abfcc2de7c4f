import math

import pytest
import torch
from torch.nn import functional as F
from transformers import TrainerControl, TrainerState

from pico_maml.callbacks import PerplexityCallback, held_out_loss


@pytest.fixture
def held_out(blocks):
    return torch.as_tensor(blocks[:7]["input_ids"]).long()


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_loss_is_the_mean_over_tokens_whatever_the_batch(model, held_out, batch_size):
    result = held_out_loss(model, held_out, batch_size)
    with torch.no_grad():
        logits = model.eval()(held_out[:, :-1]).logits
    expected = F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten()).item()
    assert result.loss == pytest.approx(expected, abs=1e-5)
    assert result.tokens == 7 * 48
    assert result.perplexity == pytest.approx(math.exp(expected), rel=1e-4)


def test_evaluating_leaves_the_model_as_it_was(model, held_out):
    model.train()
    state = torch.get_rng_state()
    held_out_loss(model, held_out, 4)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


def test_no_blocks_is_an_error(model):
    with pytest.raises(ValueError, match="no held-out blocks"):
        held_out_loss(model, torch.zeros(0, 49), 4)


def test_cadence_and_the_log_of_the_same_step(model, held_out):
    logged: list[dict] = []
    callback = PerplexityCallback(held_out, 4, 10, logged.append)
    control, state = TrainerControl(should_log=True), TrainerState(max_steps=25)
    callback.on_train_begin(None, state, control, model=model)
    for state.global_step in range(1, 26):
        callback.on_step_end(None, state, control, model=model)
    assert len(logged) == 4  # steps 0, 10, 20 and 25
    assert set(logged[0]) == {"eval_next_token_loss", "eval_perplexity"}
    assert control.should_log
    state.global_step = 10
    callback.on_train_begin(None, state, control, model=model)
    assert len(logged) == 4, "a resumed run has its evaluation already"
