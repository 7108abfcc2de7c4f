"""Effective rank of activations on a fixed text while a model trains, and their similarity to the first ones."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import Measure, Selected, linear_cka, probe_activations, spread_positions
from .measures.own import ACTIVATIONS, SIMILARITY, of_place
from .own_rows import own_rows
from .weight_spectra import rank_rows, shared_singular_values


class ActivationsCallback(DynamicsCallback):
    """Writes ranks of activations, and `cka`: their linear CKA with those of the first measured step.

    The ranks, `activation_effective_rank` and `activation_proportional_effective_rank`, are of matrices with a row
    for each of `tokens` tokens, spread evenly over the probe (R, T). Checkpoints save 2 bytes a token and feature.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        modules: Sequence[Selected],
        probe: Tensor,
        tokens: int,
        own: Sequence[Measure] = (),
    ) -> None:
        super().__init__(dynamics)
        self.modules = modules
        self.probe = probe
        self.positions = spread_positions(probe.shape[0], probe.shape[1], tokens)
        self.own = of_place(own, ACTIVATIONS)
        self.similarities = of_place(own, SIMILARITY)
        self.first: dict[str, Tensor] = {}

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return ranks and similarities."""
        matrices = probe_activations(model, self.probe, self.modules, self.positions)
        rows = []
        for selected, matrix, singular in zip(self.modules, matrices, shared_singular_values(matrices), strict=True):
            rows += rank_rows(singular, selected.name, selected.layer, prefix="activation_")
            first = self.first.setdefault(f"{selected.layer}/{selected.name}", compact(matrix))
            similarity = linear_cka(first.to(matrix.device), matrix)
            rows.append(Row("cka", similarity, module=selected.name, layer=selected.layer))
            for own in self.similarities:
                value = own(matrix, first.to(matrix))
                rows.append(Row(own.name, value, module=selected.name, layer=selected.layer))
        return rows + own_rows(self.own, matrices, self.modules, prefix="activation_")

    def reference(self) -> dict[str, Tensor]:
        """Return the activations of the first measured step, named `LAYER/MODULE`: (n, width) in half precision."""
        return self.first

    def load_reference(self, tensors: dict[str, Tensor]) -> None:
        """Set the activations of the first measured step."""
        self.first = tensors


def compact(matrix: Tensor) -> Tensor:
    """Convert to half precision on the CPU, scaled to fit its range; CKA does not depend on scale."""
    return (matrix / matrix.abs().max().clamp_min(torch.finfo(torch.float32).tiny)).half().cpu()
