"""Held-out perplexity while a model trains."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics


class HeldOut(NamedTuple):
    """Mean loss in nats a token, and the number of tokens."""

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite if that is too large for a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def bits_per_byte(self, text_bytes: int) -> float:
        """Return the loss in bits a byte of text, which does not depend on the tokenizer; NaN for an empty text."""
        return self.loss * self.tokens / math.log(2) / text_bytes if text_bytes else math.nan


class Source(NamedTuple):
    """A held-out text."""

    blocks: Tensor  #: (R, T + 1) token ids, of which T are predicted
    text_bytes: int  #: UTF-8 bytes of the predicted text

    @classmethod
    def from_blocks(cls, blocks: Tensor, tokenizer: PreTrainedTokenizerBase) -> "Source":
        """Count the bytes; a character split between two blocks is counted approximately."""
        texts = tokenizer.batch_decode(blocks[:, 1:].tolist(), skip_special_tokens=True)
        return cls(blocks, sum(len(text.encode(errors="replace")) for text in texts))


def held_out_loss(model: PreTrainedModel, blocks: Tensor, batch_size: int) -> HeldOut:
    """Evaluate the next-token loss, a mean over tokens, with the blocks shared out between processes.

    Args:
        model: any causal language model; its mode is restored.
        blocks: (R, T + 1) token ids.
        batch_size: blocks of a forward pass on one process.

    Raises:
        ValueError: there are no blocks.
    """
    if not len(blocks):
        raise ValueError("no held-out blocks to evaluate: hold out more documents or name an evaluation corpus")
    state = PartialState()
    # Every process runs the same number of forward passes, as FSDP requires; rows added for that have no targets.
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
                # Models other than Pico need `labels` for a loss; with both, `shift_labels` are used.
                loss = model(ids[:, :-1], labels=targets, shift_labels=targets, skip_logits=True, use_cache=False).loss
                count = targets.ne(-100).sum()
                total += torch.stack([loss.double() * count, count.double()])
    finally:
        model.train(was_training)
    nats, tokens = reduce(total, "sum").tolist()
    return HeldOut(nats / tokens, int(tokens))


def perplexity_rows(held_out: HeldOut, text_bytes: int, source: str = "") -> list[Row]:
    """Return rows of `perplexity` and, if the number of bytes is known, of `bits_per_byte`."""
    rows = [Row("perplexity", held_out.perplexity, source=source)]
    return rows + ([Row("bits_per_byte", held_out.bits_per_byte(text_bytes), source=source)] if text_bytes else [])


class PerplexityCallback(TrainerCallback):
    """Logs `eval_next_token_loss` (nats a token) and `eval_perplexity` at step 0, every `every` steps and at the end.

    Logs `eval_perplexity/NAME` and `eval_bits_per_byte/NAME` of each source (as Paloma, Magnusson et al. 2024).
    Learning dynamics get rows of `perplexity` and `bits_per_byte` with their `source`.

    Args:
        blocks: (R, T + 1) held-out token ids.
        batch_size: blocks of a forward pass on one process.
        every: optimizer steps between two evaluations.
        log: receives the metrics, usually the trainer's `log`.
        text_bytes: bytes of the text of `blocks` (see `Source`), for `eval_bits_per_byte`; 0 for none.
        sources: further texts by name, each evaluated on its own.
        dynamics: where to write; None to log only.
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

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate the untrained model, unless the run is resumed."""
        if state.global_step == 0:
            self._evaluate(kwargs["model"], state, control)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate every `every` steps and after the last step."""
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
        # Logging clears the flag, and the training log of this step would be lost.
        should_log = control.should_log
        self.log(metrics)
        control.should_log = should_log
        if self.dynamics is not None:
            self.dynamics.append(rows, state)
