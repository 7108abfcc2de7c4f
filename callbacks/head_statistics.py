"""Statistics of the episodes' head while a model trains (Figures 5, 11 and 12 of the paper)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def weight_statistics(head: nn.Module) -> dict[str, Tensor | float]:
    """Mean and standard deviation over all weight matrices of a head (biases left out), as scalars."""
    weights = torch.cat([p.detach().float().flatten() for p in head.parameters() if p.ndim > 1])
    return {"head_weight_mean": weights.mean(), "head_weight_std": weights.std()}


def gradient_norm(module: nn.Module) -> Tensor | None:
    """2-norm of the gradients of a module; None where no parameter has one."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return nn.utils.get_total_norm(gradients) if gradients else None


class HeadStatisticsCallback(TrainerCallback):
    """Records `head_weight_mean`, `head_weight_std` and `head_grad_norm` for the step that is logged.

    The gradient norm is that of the mixed outer gradient, after clipping; it is missing where the step held no
    episode.

    Args:
        record: takes the values into the next log, usually the trainer's `record`.
    """

    def __init__(self, record: Callable[[dict[str, Tensor | float]], None]) -> None:
        self.record = record
        self._norm: Tensor | None = None

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the norm while the gradients are there; the step count rises only afterwards."""
        logged = (state.global_step + 1) % state.logging_steps == 0
        self._norm = gradient_norm(kwargs["model"].meta_head.layers) if logged else None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record for the log of this step."""
        if control.should_log:
            self.record(weight_statistics(kwargs["model"].meta_head.layers))
            if self._norm is not None:
                self.record({"head_grad_norm": self._norm})
