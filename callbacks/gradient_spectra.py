"""Effective rank of the gradients of each objective while a model trains (Figures 29, 30 and 33 of the paper)."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel, TrainerControl, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import Selected
from .weight_spectra import rank_rows, shared_singular_values


class GradientSpectraCallback(DynamicsCallback):
    """Writes the effective ranks of gradients, with `objective` `next_token`, `query` or `sum`.

    A gradient is summed over the micro-batches of the measured step that have the objective, and averaged over
    processes, before clipping. `sum` is the gradient of added losses that cannot be separated. In a measured step
    each objective needs the memory of the chosen weights, unsharded, on every process.

    `separable` separates added losses by a second backward pass of the query loss in measured steps. This is
    impossible under FSDP2 (the pass would disturb its communication), with a compiled backbone (whose backward pass
    runs once) and with a gradient scaler.
    """

    def __init__(self, dynamics: Dynamics, modules: Sequence[Selected], separable: bool = True) -> None:
        super().__init__(dynamics)
        self.modules = modules
        self.separable = separable and not any(isinstance(selected.weight, DTensor) for selected in modules)
        self.objective: str | None = None
        self.apart: Sequence[Tensor | None] = ()
        self.sums: dict[str, dict[int, Tensor]] = {}
        self.spectra: tuple[int, dict[str, Tensor]] = (-1, {})
        self._handles: list[RemovableHandle] = []

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Add hooks to the weights if this step is measured."""
        if not self.dynamics.measured(state.global_step + 1, state):
            return
        for i, selected in enumerate(self.modules):
            if isinstance(selected.weight, DTensor):
                # FSDP2 replaces the shard by the gathered weight during the forward pass.
                hook = selected.module.register_forward_pre_hook(self._watch_in_forward(i))
                self._handles.append(hook)
            elif selected.weight.requires_grad:
                self._handles.append(selected.weight.register_hook(self._adding(i)))

    def before_backward(self, losses: dict[str, Tensor]) -> None:
        """Take the weighted terms of the loss, by objective; call it before every backward pass."""
        if not self._handles:
            return
        self.apart, self.objective = (), None
        if len(losses) == 1:
            (self.objective,) = losses
        elif self.separable:
            weights = [selected.weight for selected in self.modules]
            self.apart = torch.autograd.grad(losses["query"], weights, retain_graph=True, allow_unused=True)
            for i, gradient in enumerate(self.apart):
                if gradient is not None:
                    self._add("query", i, gradient)
            self.objective = "next_token"
        else:
            self.objective = "sum"

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Remove the hooks and measure."""
        for handle in self._handles:
            handle.remove()
        self._handles, self.apart = [], ()
        super().on_step_end(args, state, control, **kwargs)

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return the ranks of the gradients of the last step; none before the first step."""
        sums, self.sums = self.sums, {}
        spectra, rows = {}, []
        for objective in sorted(sums):
            gradients = sums.pop(objective)
            singular = shared_singular_values([reduce(gradients[i], "mean") for i in sorted(gradients)])
            for i, values in zip(sorted(gradients), singular, strict=True):
                selected = self.modules[i]
                spectra[f"{objective}_gradient/{selected.layer}/{selected.name}"] = values
                rows += rank_rows(values, selected.name, selected.layer, objective)
        self.spectra = (state.global_step, spectra)
        return rows

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Return spectra named `OBJECTIVE_gradient/LAYER/MODULE`; none unless this step was measured."""
        return self.spectra[1] if self.spectra[0] == step else {}

    def _watch_in_forward(self, i: int) -> Any:
        watched: list[Tensor] = []

        def hook(module: nn.Module, args: Any) -> None:
            weight = module._parameters["weight"]
            assert weight is not None
            # Passes without gradient and the second pass of activation checkpointing call this hook too.
            if not any(weight is other for other in watched):
                watched.append(weight)
                self._handles.append(weight.register_hook(self._adding(i)))

        return hook

    def _adding(self, i: int) -> Any:
        def hook(gradient: Tensor) -> None:
            if self.objective is None:
                return  # the separate backward pass of the query loss calls this hook too
            query = self.apart[i] if self.apart else None
            self._add(self.objective, i, gradient.detach() if query is None else gradient.detach() - query)

        return hook

    def _add(self, objective: str, i: int, gradient: Tensor) -> None:
        sums = self.sums.setdefault(objective, {})
        sums[i] = sums[i].add_(gradient) if i in sums else gradient.clone()
