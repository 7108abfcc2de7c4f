"""Entropy of attention probabilities, in nats and as a share of the largest possible value."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .probe import observed, run_probe

# Name under which transformers finds the attention implementation that measures.
MEASURING = "pico_maml_entropy"


def attention_entropy(probabilities: Tensor) -> Tensor:
    """Return H = -sum_j a_j log a_j in nats over the last dimension, with 0 log 0 = 0."""
    return torch.special.entr(probabilities).sum(-1)


class EntropySums:
    """Sums over positions that see at least two tokens; a position that sees one has entropy 0 by necessity."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.counts: dict[int, Tensor] = {}

    def add(self, layer: int, probabilities: Tensor, visible: Tensor) -> None:
        """Add probabilities (B, H, T, S); `visible` (B or 1, 1, T) is the number of tokens each query sees."""
        entropy = attention_entropy(probabilities)  # (B, H, T)
        counted = (visible > 1).expand(entropy.shape[0], 1, -1)
        # The clamp avoids log 1 = 0 at positions that are not counted.
        pair = torch.stack([entropy, entropy / visible.clamp(min=2).log()])
        total = torch.where(counted, pair, 0).sum((1, 3)).double()  # (2, H)
        self.sums[layer] = self.sums[layer] + total if layer in self.sums else total
        self.counts[layer] = self.counts[layer] + counted.sum() if layer in self.counts else counted.sum()

    def means(self) -> dict[int, Tensor]:
        """Return for each layer (2, H): mean entropy in nats, and normalised; NaN if no position sees two tokens."""
        return {layer: self.sums[layer] / self.counts[layer] for layer in sorted(self.sums)}


def attention_entropies(model: PreTrainedModel, input_ids: Tensor, max_scores: int = 2**24) -> dict[int, Tensor]:
    """Measure the mean attention entropy of each head over a batch.

    The probabilities are computed piecewise from queries and keys, never (H, T, T) at once for long texts.

    Args:
        model: any transformers decoder with exchangeable attention; mode and implementation are restored.
        input_ids: (R, T) token ids.
        max_scores: attention scores held at a time; by default 64 MB in fp32.

    Returns:
        For each layer (2, H) float64, averaged over the positions that see at least two tokens: entropy in nats, and
        entropy divided by the logarithm of the number of visible tokens (1: uniform, 0: all on one token).

    Raises:
        ValueError: the model has attention sinks, or an attention that cannot be exchanged.
    """
    sums = EntropySums()

    def measure(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        if s_aux is not None:
            raise ValueError("attention with sinks cannot be measured: its probabilities over tokens do not sum to 1")
        add = partial(sums.add, module.layer_idx)
        output = _attend(add, query, key, value, attention_mask, scaling, softcap, max_scores)
        return output.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register(MEASURING, measure)
    ALL_MASK_ATTENTION_FUNCTIONS.register(MEASURING, eager_mask)
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation(MEASURING)
        with observed(model):
            run_probe(model, input_ids)
    finally:
        model.set_attn_implementation(before)
    if not sums.sums:
        raise ValueError(f"{type(model).__name__} has an attention that cannot be exchanged and so not be measured")
    return {layer: entropies.cpu() for layer, entropies in sums.means().items()}


def _attend(
    add: Callable[[Tensor, Tensor], None],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    max_scores: int,
) -> Tensor:
    """Attend piecewise as the eager implementations do: queries (B, H, T, E) to outputs (B, H, T, E)."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    if mask is None:
        length = query.shape[2]
        hidden = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        mask = query.new_zeros(1, 1, length, length).masked_fill(hidden, torch.finfo(query.dtype).min)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = max(1, max_scores // (query.shape[0] * query.shape[1] * key.shape[2]))
    outputs = []
    for part, part_mask in zip(query.split(rows, dim=2), mask.split(rows, dim=2), strict=True):
        scores = part @ key.transpose(2, 3) * scaling
        if softcap is not None:
            scores = softcap * (scores / softcap).tanh()
        probabilities = (scores + part_mask).float().softmax(-1)
        visible = (part_mask > torch.finfo(part_mask.dtype).min / 2).sum(-1)  # (B or 1, 1, T)
        add(probabilities, visible)
        outputs.append(probabilities.to(value.dtype) @ value)
    return torch.cat(outputs, dim=2)
