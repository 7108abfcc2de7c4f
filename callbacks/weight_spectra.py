"""Singular values and effective rank of the weights while a model trains (Figures 31 to 33 of the paper)."""

from collections.abc import Sequence

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.process_group import whole
from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import (
    Measure,
    Selected,
    effective_rank,
    ov_singular_values,
    proportional_effective_rank,
    singular_values,
)
from .measures.own import WEIGHTS, of_place
from .own_rows import own_rows

OV_CIRCUIT = "ov_circuit"


def rank_rows(
    singular: Tensor, module: str, layer: int, objective: str = "", head: int = -1, prefix: str = ""
) -> list[Row]:
    """Return rows of `effective_rank` (1 to d) and `proportional_effective_rank` (share of d) of d singular values."""
    values = {"effective_rank": effective_rank, "proportional_effective_rank": proportional_effective_rank}
    return [Row(prefix + name, of(singular), objective, module, layer, head) for name, of in values.items()]


def shared_singular_values(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the singular values of each matrix on the CPU; the processes share the work and all get the result."""
    state = PartialState()
    spectra = []
    for i, matrix in enumerate(matrices):
        matrix = whole(matrix)
        if i % state.num_processes == state.process_index:
            spectra.append(singular_values(matrix))
        else:
            spectra.append(torch.zeros(min(matrix.shape), device=matrix.device))
    if state.num_processes > 1 and spectra:
        summed = reduce(torch.cat(spectra), "sum")
        spectra = list(summed.split([len(singular) for singular in spectra]))
    return [singular.cpu() for singular in spectra]


class WeightSpectraCallback(DynamicsCallback):
    """Writes effective ranks and `own` measures of weight matrices, and spectra into checkpoints.

    `ov_circuits` are output and value projections of the same attention; of each of its `heads` the product of both
    is measured as module `ov_circuit`.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        modules: Sequence[Selected],
        ov_circuits: Sequence[tuple[Selected, Selected]] = (),
        heads: int = 1,
        own: Sequence[Measure] = (),
    ) -> None:
        super().__init__(dynamics)
        self.modules = modules
        self.ov_circuits = ov_circuits
        self.heads = heads
        self.own = of_place(own, WEIGHTS)
        self.spectra: tuple[int, dict[str, Tensor]] = (-1, {})

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return the ranks of all weights."""
        self.spectra = (state.global_step, self._singular_values())
        rows = []
        for name, singular in self.spectra[1].items():
            _, layer, module, *head = name.split("/")
            rows += rank_rows(singular, module, int(layer), head=int(head[0]) if head else -1)
        return rows + own_rows(self.own, [selected.weight for selected in self.modules], self.modules)

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Return spectra named `weight/LAYER/MODULE[/HEAD]`; computed now unless this step was measured."""
        return self.spectra[1] if self.spectra[0] == step else self._singular_values()

    def _singular_values(self) -> dict[str, Tensor]:
        names = [f"weight/{selected.layer}/{selected.name}" for selected in self.modules]
        spectra = dict(zip(names, shared_singular_values([s.weight for s in self.modules]), strict=True))
        for output, value in self.ov_circuits:
            circuits = ov_singular_values(whole(output.weight), whole(value.weight), self.heads)
            for head, singular in enumerate(circuits):
                spectra[f"weight/{output.layer}/{OV_CIRCUIT}/{head}"] = singular.cpu()
        return spectra
