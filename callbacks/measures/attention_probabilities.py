"""Attention probabilities of any decoder while it reads a text, a piece at a time."""

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
MEASURING = "pico_maml_measuring"
# Takes a layer, probabilities (B, H, T, S) of some queries, and the tokens each query sees (B or 1, 1, T).
Observer = Callable[[int, Tensor, Tensor], None]


def observe_attention(model: PreTrainedModel, input_ids: Tensor, observer: Observer, max_scores: int = 2**24) -> None:
    """Hand the attention probabilities of each layer and row of text to `observer`.

    The probabilities are computed piecewise from queries and keys, never (H, T, T) at once for long texts.

    Args:
        model: any transformers decoder with exchangeable attention; mode and implementation are restored.
        input_ids: (R, T) token ids.
        observer: is called with the pieces of a layer in the order of their queries.
        max_scores: attention scores held at a time; by default 64 MB in fp32.

    Raises:
        ValueError: the model has attention sinks, or an attention that cannot be exchanged.
    """
    observed_layers: set[int] = set()

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
        observed_layers.add(module.layer_idx)
        add = partial(observer, module.layer_idx)
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
    if not observed_layers:
        raise ValueError(f"{type(model).__name__} has an attention that cannot be exchanged and so not be measured")


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
