"""Outputs of chosen modules on a fixed batch of text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .modules import Selected


def spread_positions(rows: int, length: int, count: int) -> Tensor:
    """Spread up to `count` positions evenly over (rows, length) tokens; returns flat indices."""
    total = rows * length
    return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).round().long()


@contextmanager
def observed(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, without gradient and compilation, and restore the mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        # Compiled code would not call the hooks and would be recompiled for every shape.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        model.train(was_training)


def run_probe(model: PreTrainedModel, input_ids: Tensor) -> None:
    """Run a forward pass over (R, T) ids row by row, which needs little memory."""
    for row in input_ids.to(model.device).split(1):
        # The whole model, so that FSDP gathers its shards; logits of a single position.
        model(row, use_cache=False, logits_to_keep=1)


def probe_activations(
    model: PreTrainedModel, input_ids: Tensor, modules: Sequence[Selected], positions: Tensor
) -> list[Tensor]:
    """Return the outputs (n, width) of each module at the given positions, on the model's device.

    Args:
        model: the model, whose mode is restored.
        input_ids: (R, T) token ids.
        modules: modules of the model.
        positions: (n,) ascending indices into the R * T tokens.
    """
    length = input_ids.shape[1]
    outputs: list[list[Tensor]] = [[] for _ in modules]
    row = 0

    def append_to(parts: list[Tensor]) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            mine = positions[positions.div(length, rounding_mode="floor") == row] - row * length
            parts.append(output.detach()[0, mine.to(output.device)].float())

        return hook

    handles = [
        selected.module.register_forward_hook(append_to(parts))
        for selected, parts in zip(modules, outputs, strict=True)
    ]
    try:
        with observed(model):
            for row in range(len(input_ids)):
                run_probe(model, input_ids[row : row + 1])
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(parts) for parts in outputs]
