"""Perplexity on held-out blocks of text while a model trains."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class HeldOut(NamedTuple):
    """Result of `held_out_loss`: mean loss in nats a token, and how many tokens it was taken over."""

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is too large for a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf


def held_out_loss(model: PreTrainedModel, blocks: Tensor, batch_size: int) -> HeldOut:
    """Next-token loss over blocks of text, exactly weighted by token; every process evaluates its share.

    Args:
        model: called in evaluation mode; its mode is restored.
        blocks: (R, T + 1) token ids.
        batch_size: blocks of a forward pass on one process.

    Raises:
        ValueError: there are no blocks.
    """
    if not len(blocks):
        raise ValueError("no held-out blocks to evaluate: hold out more documents or name an evaluation corpus")
    state = PartialState()
    # Every process runs the same number of forward passes (FSDP needs that); rows that only fill up weigh nothing.
    share = -(-len(blocks) // (state.num_processes * batch_size)) * batch_size
    mine = torch.arange(state.process_index * share, (state.process_index + 1) * share)
    total = torch.zeros(2, device=model.device, dtype=torch.float64)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for rows in mine.split(batch_size):
                ids = blocks[rows % len(blocks)].to(model.device)
                targets = ids[:, 1:].masked_fill((rows >= len(blocks))[:, None].to(model.device), -100)
                loss = model(ids[:, :-1], shift_labels=targets, skip_logits=True, use_cache=False).loss
                count = targets.ne(-100).sum()
                total += torch.stack([loss.double() * count, count.double()])
    finally:
        model.train(was_training)
    nats, tokens = reduce(total, "sum").tolist()
    return HeldOut(nats / tokens, int(tokens))


class PerplexityCallback(TrainerCallback):
    """Logs `eval_next_token_loss` (nats a token) and `eval_perplexity` at step 0, every `every` steps and at the end.

    Args:
        blocks: (R, T + 1) held-out token ids.
        batch_size: blocks of a forward pass on one process.
        every: optimizer steps between two evaluations.
        log: where the metrics go, usually the trainer's `log`.
    """

    def __init__(self, blocks: Tensor, batch_size: int, every: int, log: Callable[[dict[str, float]], None]) -> None:
        self.blocks = blocks
        self.batch_size = batch_size
        self.every = every
        self.log = log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate the untrained model; a resumed run has its evaluation already."""
        if state.global_step == 0:
            self._evaluate(kwargs["model"], control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate at the cadence and after the last step."""
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._evaluate(kwargs["model"], control)

    def _evaluate(self, model: PreTrainedModel, control: TrainerControl) -> None:
        held_out = held_out_loss(model, self.blocks, self.batch_size)
        # Logging clears the flag, and with it the training log of the same step.
        should_log = control.should_log
        self.log({"eval_next_token_loss": held_out.loss, "eval_perplexity": held_out.perplexity})
        control.should_log = should_log
