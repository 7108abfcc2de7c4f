"""Held-out perplexity while a model trains."""

import math
from collections.abc import Callable, Mapping, Sequence
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
    texts: Sequence[Tensor] = ()  #: (L,) token ids of each text, for `mean_text_perplexity`
    documents: Tensor | None = None  #: (R, T + 1) document of each token id, for episodes

    @classmethod
    def from_blocks(
        cls,
        blocks: Tensor,
        tokenizer: PreTrainedTokenizerBase,
        texts: Sequence[Tensor] = (),
        documents: Tensor | None = None,
    ) -> "Source":
        """Count the bytes; a character split between two blocks is counted approximately."""
        decoded = tokenizer.batch_decode(blocks[:, 1:].tolist(), skip_special_tokens=True)
        return cls(blocks, sum(len(text.encode(errors="replace")) for text in decoded), texts, documents)

    @classmethod
    def joined(cls, parts: Sequence["Source"]) -> "Source":
        """The texts of several sources as one."""
        documents = [part.documents for part in parts if part.documents is not None]
        return cls(
            torch.cat([part.blocks for part in parts]),
            sum(part.text_bytes for part in parts),
            [text for part in parts for text in part.texts],
            torch.cat(documents) if len(documents) == len(parts) else None,
        )

    def for_episodes(self) -> tuple[Tensor, Tensor | None]:
        """The (R, T) token ids that a model reads, and the document of each."""
        return self.blocks[:, :-1], None if self.documents is None else self.documents[:, :-1]


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
                # A batch without targets has no mean: some models return NaN for it.
                total += torch.stack([torch.where(count > 0, loss.double() * count, 0.0), count.double()])
    finally:
        model.train(was_training)
    nats, tokens = reduce(total, "sum").tolist()
    return HeldOut(nats / tokens, int(tokens))


def mean_text_perplexity(model: PreTrainedModel, texts: Sequence[Tensor]) -> float:
    """Return the mean over texts of exp(mean loss of the text), as the original Pico code's Paloma perplexity.

    A short or a hard text counts as much as a long one, so the value is above exp(mean loss of all tokens) where texts
    differ. The first token of a text is not predicted. Texts are shared out between processes.

    Args:
        model: any causal language model; its mode is restored.
        texts: (L,) token ids of each, two at least.
    """
    state = PartialState()
    share = -(-len(texts) // state.num_processes)  # the same number of forward passes on every process, for FSDP
    total = torch.zeros((), device=model.device, dtype=torch.float64)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for i in range(state.process_index * share, (state.process_index + 1) * share):
                ids = texts[i % len(texts)][None].to(model.device)
                targets = ids[:, 1:]
                loss = model(ids[:, :-1], labels=targets, shift_labels=targets, skip_logits=True, use_cache=False).loss
                if i < len(texts):
                    total += loss.double().exp()
    finally:
        model.train(was_training)
    return reduce(total, "sum").item() / len(texts)


def measure_source(model: PreTrainedModel, source: Source, batch_size: int) -> dict[str, float]:
    """Return `next_token_loss`, `perplexity`, and where known `bits_per_byte` and `mean_text_perplexity` of a text."""
    held_out = held_out_loss(model, source.blocks, batch_size)
    measured = {"next_token_loss": held_out.loss, "perplexity": held_out.perplexity}
    if source.text_bytes:
        measured["bits_per_byte"] = held_out.bits_per_byte(source.text_bytes)
    if source.texts:
        measured["mean_text_perplexity"] = mean_text_perplexity(model, source.texts)
    return measured


def perplexity_rows(measured: Mapping[str, float], source: str = "") -> list[Row]:
    """Return the rows of learning dynamics of what `measure_source` measured."""
    return [Row(name, value, source=source) for name, value in measured.items() if name != "next_token_loss"]


class PerplexityCallback(TrainerCallback):
    """Logs `eval_next_token_loss` (nats a token) and `eval_perplexity` at step 0, every `every` steps and at the end.

    Logs `eval_perplexity/NAME` and `eval_bits_per_byte/NAME` of each source (as Paloma, Magnusson et al. 2024), and
    `eval_mean_text_perplexity` of what has texts. Learning dynamics get a row of each with its `source`.

    Args:
        blocks: (R, T + 1) held-out token ids.
        batch_size: blocks of a forward pass on one process.
        every: optimizer steps between two evaluations.
        log: receives the metrics, usually the trainer's `log`.
        text_bytes: bytes of the text of `blocks` (see `Source`), for `eval_bits_per_byte`; 0 for none.
        sources: further texts by name, each evaluated on its own.
        dynamics: where to write; None to log only.
        texts: the held-out texts one by one (see `Source`).
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
        texts: Sequence[Tensor] = (),
    ) -> None:
        self.held_out = Source(blocks, text_bytes, texts)
        self.batch_size = batch_size
        self.every = every
        self.log = log
        self.sources = sources or {}
        self.dynamics = dynamics
        self._evaluated: int | None = None  # the last step

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate the untrained model, unless the run is resumed."""
        if state.global_step == 0:
            self._evaluate(kwargs["model"], state, control)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate every `every` steps and after the last step."""
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._evaluate(kwargs["model"], state, control)

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate where a stream ended, after which the last step is known."""
        if state.global_step == state.max_steps != self._evaluated:
            self._evaluate(kwargs["model"], state, control)

    def _evaluate(self, model: PreTrainedModel, state: TrainerState, control: TrainerControl) -> None:
        self._evaluated = state.global_step
        measured = measure_source(model, self.held_out, self.batch_size)
        metrics = {f"eval_{name}": value for name, value in measured.items()}
        rows = perplexity_rows(measured)
        for source, text in self.sources.items():
            measured = measure_source(model, text, self.batch_size)
            del measured["next_token_loss"]
            metrics |= {f"eval_{name}/{source}": value for name, value in measured.items()}
            rows += perplexity_rows(measured, source)
        # Logging clears the flag, and the training log of this step would be lost.
        should_log = control.should_log
        self.log(metrics)
        control.should_log = should_log
        if self.dynamics is not None:
            self.dynamics.append(rows, state)
