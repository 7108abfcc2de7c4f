"""Singular values of the weights while a model trains, and their effective rank (Figures 31 to 33 of the paper)."""

from collections.abc import Sequence

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import Selected, effective_rank, ov_singular_values, proportional_effective_rank, singular_values, whole

OV_CIRCUIT = "ov_circuit"


def rank_rows(
    singular: Tensor, module: str, layer: int, objective: str = "", head: int = -1, prefix: str = ""
) -> list[Row]:
    """`effective_rank` (1 to d) and `proportional_effective_rank` (a share of d) of some singular values."""
    values = {"effective_rank": effective_rank, "proportional_effective_rank": proportional_effective_rank}
    return [Row(prefix + name, of(singular), objective, module, layer, head) for name, of in values.items()]


def shared_singular_values(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Singular values of matrices that are the same on every process, each computed by one of them; on the CPU."""
    state = PartialState()
    found = []
    for i, matrix in enumerate(matrices):
        matrix = whole(matrix)
        if i % state.num_processes == state.process_index:
            found.append(singular_values(matrix))
        else:
            found.append(torch.zeros(min(matrix.shape), device=matrix.device))
    if state.num_processes > 1 and found:
        summed = reduce(torch.cat(found), "sum")
        found = list(summed.split([len(singular) for singular in found]))
    return [singular.cpu() for singular in found]


class WeightSpectraCallback(DynamicsCallback):
    """Writes `effective_rank` and `proportional_effective_rank` of weight matrices, and spectra into checkpoints.

    Args:
        dynamics: when and where to.
        modules: whose weights.
        ov_circuits: pairs of an output and a value projection of the same attention: of each head the product of both
            is measured too, as module `ov_circuit`.
        heads: attention heads of a layer, for the OV circuits.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        modules: Sequence[Selected],
        ov_circuits: Sequence[tuple[Selected, Selected]] = (),
        heads: int = 1,
    ) -> None:
        super().__init__(dynamics)
        self.modules = modules
        self.ov_circuits = ov_circuits
        self.heads = heads
        self.spectra: tuple[int, dict[str, Tensor]] = (-1, {})

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """The ranks of all weights."""
        self.spectra = (state.global_step, self._singular_values())
        rows = []
        for name, singular in self.spectra[1].items():
            _, layer, module, *head = name.split("/")
            rows += rank_rows(singular, module, int(layer), head=int(head[0]) if head else -1)
        return rows

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Named `weight/LAYER/MODULE[/HEAD]`; computed anew where this step is not a measured one."""
        return self.spectra[1] if self.spectra[0] == step else self._singular_values()

    def _singular_values(self) -> dict[str, Tensor]:
        names = [f"weight/{selected.layer}/{selected.name}" for selected in self.modules]
        spectra = dict(zip(names, shared_singular_values([s.weight for s in self.modules]), strict=True))
        for output, value in self.ov_circuits:
            found = ov_singular_values(whole(output.weight), whole(value.weight), self.heads)
            for head, singular in enumerate(found):
                spectra[f"weight/{output.layer}/{OV_CIRCUIT}/{head}"] = singular.cpu()
        return spectra
