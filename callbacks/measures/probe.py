"""Activations of chosen modules on a fixed batch of text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .modules import Selected


def spread_positions(rows: int, length: int, count: int) -> Tensor:
    """Up to `count` positions spread evenly over (rows, length) tokens, as indices into them flattened."""
    total = rows * length
    return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).round().long()


@contextmanager
def observed(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode, without gradient and uncompiled; its mode comes back afterwards."""
    was_training = model.training
    model.eval()
    try:
        # Compiled code would not call the hooks, and compile anew for every shape.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        model.train(was_training)


def run_probe(model: PreTrainedModel, input_ids: Tensor) -> None:
    """One forward pass over (R, T) ids, row by row, as small as it can be."""
    for row in input_ids.to(model.device).split(1):
        # Through the whole model, so that FSDP gathers its shards; of the logits only one position.
        model(row, use_cache=False, logits_to_keep=1)


def probe_activations(
    model: PreTrainedModel, input_ids: Tensor, modules: Sequence[Selected], positions: Tensor
) -> list[Tensor]:
    """What modules give out for some tokens of a fixed batch.

    Args:
        model: called in evaluation mode; its mode is restored.
        input_ids: (R, T) token ids.
        modules: of the model.
        positions: (n,) indices into the R * T tokens, in rising order.

    Returns:
        For each module its outputs (n, width) at these positions, on the model's device.
    """
    length = input_ids.shape[1]
    kept: list[list[Tensor]] = [[] for _ in modules]
    row = 0

    def keep(into: list[Tensor]) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            mine = positions[positions.div(length, rounding_mode="floor") == row] - row * length
            into.append(output.detach()[0, mine.to(output.device)].float())

        return hook

    handles = [selected.module.register_forward_hook(keep(into)) for selected, into in zip(modules, kept, strict=True)]
    try:
        with observed(model):
            for row in range(len(input_ids)):
                run_probe(model, input_ids[row : row + 1])
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(parts) for parts in kept]
