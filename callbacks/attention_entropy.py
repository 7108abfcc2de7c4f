"""Entropy of each attention head on a fixed text while a model trains."""

from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import Measure, attention_entropies, attention_values
from .measures.own import ATTENTION, of_place


class AttentionEntropyCallback(DynamicsCallback):
    """Writes `attention_entropy` (nats), `attention_entropy_normalised` (0 to 1) and `own` measures of each head.

    They are means over a probe (R, T).
    """

    def __init__(self, dynamics: Dynamics, probe: Tensor, own: Sequence[Measure] = ()) -> None:
        super().__init__(dynamics)
        self.probe = probe
        self.own = of_place(own, ATTENTION)

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return the entropies and other values."""
        rows = head_rows(("attention_entropy", "attention_entropy_normalised"), attention_entropies(model, self.probe))
        if self.own:
            names = [f"attention_{measure.name}" for measure in self.own]
            rows += head_rows(names, attention_values(model, self.probe, self.own))
        return rows


def head_rows(names: Sequence[str], tables: dict[int, Tensor]) -> list[Row]:
    """Convert tables (names, heads) by layer to rows."""
    return [
        Row(name, value, layer=layer, head=head)
        for layer, table in tables.items()
        for name, values in zip(names, table.tolist(), strict=True)
        for head, value in enumerate(values)
    ]
