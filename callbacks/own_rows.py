"""Rows of the measures that a user names, for the callbacks that have what they measure."""

from collections.abc import Sequence

from accelerate import PartialState
from torch import Tensor

from ..trainers.process_group import sums, whole
from ..trainers.runs.learning_dynamics import Row
from .measures import Measure, Selected


def own_rows(
    measures: Sequence[Measure],
    matrices: Sequence[Tensor],
    modules: Sequence[Selected],
    objective: str = "",
    prefix: str = "",
) -> list[Row]:
    """Return a row for each measure and each module's matrix; the processes share the work and all get the rows."""
    state = PartialState()
    values = []
    for i, matrix in enumerate(matrices if measures else []):
        matrix = whole(matrix.detach())
        mine = i % state.num_processes == state.process_index
        values += [measure(matrix) if mine else 0.0 for measure in measures]
    summed = iter(sums(values))
    return [
        Row(prefix + measure.name, next(summed), objective, selected.name, selected.layer)
        for selected in modules
        for measure in measures
    ]
