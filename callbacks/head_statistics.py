"""Statistics of the episodes' head while a model trains (Figures 5, 11 and 12 of the paper)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics
from .measures import whole

ADAPTED = "head_weight_norm_adapted"


def weight_statistics(head: nn.Module) -> dict[str, Tensor | float]:
    """Mean, standard deviation and 2-norm over all weight matrices of a head (biases left out), as scalars."""
    weights = torch.cat([whole(p.detach()).float().flatten() for p in head.parameters() if p.ndim > 1])
    return {
        "head_weight_mean": weights.mean(),
        "head_weight_std": weights.std(),
        "head_weight_norm": weights.norm(),
    }


def gradient_norm(module: nn.Module) -> Tensor | None:
    """2-norm of the gradients of a module; None where no parameter has one."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return nn.utils.get_total_norm(gradients) if gradients else None


class HeadStatisticsCallback(TrainerCallback):
    """Records `head_weight_mean`, `head_weight_std`, `head_weight_norm` and `head_grad_norm` for the logged step.

    The gradient norm is that of the mixed outer gradient, after clipping; it is missing where the step held no
    episode. Where learning dynamics are measured, the statistics of the weights are written there too: of the whole
    head, and of each layer (`module` `meta_head`); and `head_weight_norm_adapted`, the norm after the inner loop as
    the training log has it (a mean over the episodes since the last log), at measured steps that are logged.

    Args:
        record: takes the values into the next log, usually the trainer's `record`.
        dynamics: when and where to write; None for nowhere.
    """

    def __init__(self, record: Callable[[dict[str, Tensor | float]], None], dynamics: Dynamics | None = None) -> None:
        self.record = record
        self.dynamics = dynamics
        self._norm: Tensor | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the statistics of the untrained head; a resumed run has them already."""
        if self.dynamics is not None and state.global_step == 0:
            self._write(self.dynamics, kwargs["model"], state)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the norm while the gradients are there; the step count rises only afterwards."""
        logged = (state.global_step + 1) % state.logging_steps == 0
        self._norm = gradient_norm(kwargs["model"].meta_head.layers) if logged else None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record for the log of this step, and write at the cadence."""
        if control.should_log:
            self.record(weight_statistics(kwargs["model"].meta_head.layers))
            if self._norm is not None:
                self.record({"head_grad_norm": self._norm})
        if self.dynamics is not None and self.dynamics.measured(state.global_step, state):
            self._write(self.dynamics, kwargs["model"], state)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write what the episodes said of the adapted head."""
        logs = kwargs.get("logs") or {}
        if self.dynamics is not None and ADAPTED in logs and self.dynamics.measured(state.global_step, state):
            rows = [Row(ADAPTED, logs[ADAPTED], module="meta_head")]
            if state.is_world_process_zero:
                self.dynamics.file.append(state.global_step, self.dynamics.tokens(), rows)

    def _write(self, dynamics: Dynamics, model: Any, state: TrainerState) -> None:
        layers = model.meta_head.layers
        parts = [(-1, layers), *enumerate(layers)]
        rows = [
            Row(name, float(value), module="meta_head", layer=layer)
            for layer, part in parts
            for name, value in weight_statistics(part).items()
        ]
        if state.is_world_process_zero:
            dynamics.file.append(state.global_step, dynamics.tokens(), rows)
