"""Statistics of the episodes' head while a model trains (Figures 5, 11 and 12 of the paper)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from ..trainers.process_group import whole
from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics

ADAPTED = "head_weight_norm_adapted"


def weight_statistics(head: nn.Module) -> dict[str, Tensor | float]:
    """Return mean, standard deviation and 2-norm over all weight matrices of a head, without biases."""
    weights = torch.cat([whole(p.detach()).float().flatten() for p in head.parameters() if p.ndim > 1])
    return {
        "head_weight_mean": weights.mean(),
        "head_weight_std": weights.std(),
        "head_weight_norm": weights.norm(),
    }


def gradient_norm(module: nn.Module) -> Tensor | None:
    """Return the 2-norm of a module's gradients, or None if no parameter has one."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return whole(nn.utils.get_total_norm(gradients)) if gradients else None


class HeadStatisticsCallback(TrainerCallback):
    """Records `head_weight_mean`, `head_weight_std`, `head_weight_norm` and `head_grad_norm` for the logged step.

    `head_grad_norm` is the norm of the outer gradient after clipping, absent in a step without an episode. Learning
    dynamics get the statistics of the weights of the head and of each layer (`module` `meta_head`), and at logged
    steps `head_weight_norm_adapted`: the norm after the inner loop, a mean over the episodes since the last log.

    `record` adds values to the next log, usually the trainer's `record`.
    """

    def __init__(self, record: Callable[[dict[str, Tensor | float]], None], dynamics: Dynamics | None = None) -> None:
        self.record = record
        self.dynamics = dynamics
        self._norm: Tensor | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the statistics of the untrained head, unless the run is resumed."""
        if self.dynamics is not None and state.global_step == 0:
            self._write(self.dynamics, kwargs["model"], state)

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Compute the gradient norm of a logged step, before the gradients are cleared."""
        logged = (state.global_step + 1) % state.logging_steps == 0  # the step is counted only afterwards
        self._norm = gradient_norm(kwargs["model"].meta_head.layers) if logged else None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Record for the log of this step, and write if it is measured."""
        if control.should_log:
            self.record(weight_statistics(kwargs["model"].meta_head.layers))
            if self._norm is not None:
                self.record({"head_grad_norm": self._norm})
        if self.dynamics is not None and self.dynamics.measured(state.global_step, state):
            self._write(self.dynamics, kwargs["model"], state)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the norm of the adapted head."""
        logs = kwargs.get("logs") or {}
        if self.dynamics is not None and ADAPTED in logs and self.dynamics.measured(state.global_step, state):
            self.dynamics.append([Row(ADAPTED, logs[ADAPTED], module="meta_head")], state)

    def _write(self, dynamics: Dynamics, model: Any, state: TrainerState) -> None:
        layers = model.meta_head.layers
        parts = [(-1, layers), *enumerate(layers)]
        rows = [
            Row(name, float(value), module="meta_head", layer=layer)
            for layer, part in parts
            for name, value in weight_statistics(part).items()
        ]
        dynamics.append(rows, state)
