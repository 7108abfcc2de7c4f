"""Effective rank of the gradients while a model trains, each objective apart (Figures 29, 30 and 33 of the paper)."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import Selected
from .weight_spectra import rank_rows, shared_singular_values


class GradientSpectraCallback(DynamicsCallback):
    """Writes the effective ranks of gradients, with `objective` `next_token`, `query` or `sum`.

    A gradient is that of one objective summed over the micro-batches of the measured step and averaged over
    processes, before clipping. An objective that the step did not hold has no rows. `sum` is the gradient of losses
    that were added and cannot be told apart (see `separable`).

    Nothing is kept between measured steps; in one, each objective takes as much memory on every process as the chosen
    weights do when they are whole (under FSDP2, too).

    Args:
        dynamics: when and where to.
        modules: whose weights.
        separable: take added losses apart by one more backward pass of the query loss, in measured steps alone. Not
            possible under FSDP2 (a second pass would disturb its communication), with a compiled backbone (whose
            backward pass runs once) or with a gradient scaler.
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

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch the gradients of a step that will be measured."""
        if not self.dynamics.measured(state.global_step + 1, state):
            return
        for i, selected in enumerate(self.modules):
            if isinstance(selected.weight, DTensor):
                # FSDP2 puts the whole weight in its place during the forward pass.
                hook = selected.module.register_forward_pre_hook(self._watch_in_forward(i))
                self._handles.append(hook)
            elif selected.weight.requires_grad:
                self._handles.append(selected.weight.register_hook(self._adding(i)))

    def before_backward(self, losses: dict[str, Tensor]) -> None:
        """Say which losses the coming backward pass adds up, as they are weighted there; call it in every one."""
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

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure, and stop watching."""
        for handle in self._handles:
            handle.remove()
        self._handles, self.apart = [], ()
        super().on_step_end(args, state, control, **kwargs)

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """The ranks of the gradients of the step just done; none before the first."""
        sums, self.sums = self.sums, {}
        spectra, rows = {}, []
        for objective in sorted(sums):
            found = sums.pop(objective)
            singular = shared_singular_values([reduce(found[i], "mean") for i in sorted(found)])
            for i, values in zip(sorted(found), singular, strict=True):
                selected = self.modules[i]
                spectra[f"{objective}_gradient/{selected.layer}/{selected.name}"] = values
                rows += rank_rows(values, selected.name, selected.layer, objective)
        self.spectra = (state.global_step, spectra)
        return rows

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Named `OBJECTIVE_gradient/LAYER/MODULE`; none where this step is not a measured one."""
        return self.spectra[1] if self.spectra[0] == step else {}

    def _watch_in_forward(self, i: int) -> Any:
        watched: list[Tensor] = []

        def hook(module: nn.Module, args: Any) -> None:
            weight = module._parameters["weight"]
            assert weight is not None
            # The pass without gradient and the second one of activation checkpointing come here too.
            if not any(weight is other for other in watched):
                watched.append(weight)
                self._handles.append(weight.register_hook(self._adding(i)))

        return hook

    def _adding(self, i: int) -> Any:
        def hook(gradient: Tensor) -> None:
            if self.objective is None:
                return  # the pass that takes the query loss apart comes here too
            query = self.apart[i] if self.apart else None
            self._add(self.objective, i, gradient.detach() if query is None else gradient.detach() - query)

        return hook

    def _add(self, objective: str, i: int, gradient: Tensor) -> None:
        found = self.sums.setdefault(objective, {})
        found[i] = found[i].add_(gradient) if i in found else gradient.clone()
