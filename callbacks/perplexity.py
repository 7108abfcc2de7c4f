"""Perplexity on held-out blocks of text while a model trains."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics


class HeldOut(NamedTuple):
    """Result of `held_out_loss`: mean loss in nats a token, and how many tokens it was taken over."""

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is too large for a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def bits_per_byte(self, text_bytes: int) -> float:
        """Loss in bits over the bytes of the text, which does not depend on the tokenizer; NaN without any."""
        return self.loss * self.tokens / math.log(2) / text_bytes if text_bytes else math.nan


class Source(NamedTuple):
    """Text from one place.

    Attributes:
        blocks: (R, T + 1) token ids, of which T are predicted.
        text_bytes: bytes (UTF-8) of what is predicted.
    """

    blocks: Tensor
    text_bytes: int

    @classmethod
    def from_blocks(cls, blocks: Tensor, tokenizer: PreTrainedTokenizerBase) -> "Source":
        """Count the bytes; a character that two blocks share, or an end of text, may be off by its own length."""
        texts = tokenizer.batch_decode(blocks[:, 1:].tolist(), skip_special_tokens=True)
        return cls(blocks, sum(len(text.encode(errors="replace")) for text in texts))


def held_out_loss(model: PreTrainedModel, blocks: Tensor, batch_size: int) -> HeldOut:
    """Next-token loss over blocks of text, exactly weighted by token; every process evaluates its share.

    Args:
        model: any causal language model, called in evaluation mode; its mode is restored.
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
                # Other models than Pico compute no loss without `labels`; with both, the shifted ones count.
                loss = model(ids[:, :-1], labels=targets, shift_labels=targets, skip_logits=True, use_cache=False).loss
                count = targets.ne(-100).sum()
                total += torch.stack([loss.double() * count, count.double()])
    finally:
        model.train(was_training)
    nats, tokens = reduce(total, "sum").tolist()
    return HeldOut(nats / tokens, int(tokens))


def perplexity_rows(held_out: HeldOut, text_bytes: int, source: str = "") -> list[Row]:
    """Rows of `perplexity` and, where the bytes are known, `bits_per_byte`."""
    rows = [Row("perplexity", held_out.perplexity, source=source)]
    return rows + ([Row("bits_per_byte", held_out.bits_per_byte(text_bytes), source=source)] if text_bytes else [])


class PerplexityCallback(TrainerCallback):
    """Logs `eval_next_token_loss` (nats a token) and `eval_perplexity` at step 0, every `every` steps and at the end.

    Of each source `eval_perplexity/NAME` and `eval_bits_per_byte/NAME` (as Paloma does, Magnusson et al. 2024); with
    learning dynamics, rows of `perplexity` and `bits_per_byte` as well, with their `source`.

    Args:
        blocks: (R, T + 1) held-out token ids.
        batch_size: blocks of a forward pass on one process.
        every: optimizer steps between two evaluations.
        log: where the metrics go, usually the trainer's `log`.
        text_bytes: of what `blocks` predict (see `Source`), for `eval_bits_per_byte`; 0 for none.
        sources: texts to be evaluated one by one, by name.
        dynamics: where to write; None for nowhere.
    """

    def __init__(
        self,
        blocks: Tensor,
        batch_size: int,
        every: int,
        log: Callable[[dict[str, float]], None],
        text_bytes: int = 0,
        sources: Mapping[str, Source] | None = None,
        dynamics: Dynamics | None = None,
    ) -> None:
        self.blocks = blocks
        self.batch_size = batch_size
        self.every = every
        self.log = log
        self.text_bytes = text_bytes
        self.sources = sources or {}
        self.dynamics = dynamics

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate the untrained model; a resumed run has its evaluation already."""
        if state.global_step == 0:
            self._evaluate(kwargs["model"], state, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate at the cadence and after the last step."""
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._evaluate(kwargs["model"], state, control)

    def _evaluate(self, model: PreTrainedModel, state: TrainerState, control: TrainerControl) -> None:
        held_out = held_out_loss(model, self.blocks, self.batch_size)
        metrics = {"eval_next_token_loss": held_out.loss, "eval_perplexity": held_out.perplexity}
        rows = perplexity_rows(held_out, self.text_bytes)
        if self.text_bytes:
            metrics["eval_bits_per_byte"] = held_out.bits_per_byte(self.text_bytes)
        for name, source in self.sources.items():
            result = held_out_loss(model, source.blocks, self.batch_size)
            metrics[f"eval_perplexity/{name}"] = result.perplexity
            metrics[f"eval_bits_per_byte/{name}"] = result.bits_per_byte(source.text_bytes)
            rows += perplexity_rows(result, source.text_bytes, name)
        # Logging clears the flag, and with it the training log of the same step.
        should_log = control.should_log
        self.log(metrics)
        control.should_log = should_log
        if self.dynamics is not None and state.is_world_process_zero:
            self.dynamics.file.append(state.global_step, self.dynamics.tokens(), rows)
