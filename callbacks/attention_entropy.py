"""Entropy of each attention head on a fixed text while a model trains."""

from torch import Tensor
from transformers import PreTrainedModel, TrainerState

from ..trainers.runs.learning_dynamics import Row
from .dynamics_callback import Dynamics, DynamicsCallback
from .measures import attention_entropies


class AttentionEntropyCallback(DynamicsCallback):
    """Writes `attention_entropy` (nats) and `attention_entropy_normalised` (0 to 1) of each head on a probe (R, T)."""

    def __init__(self, dynamics: Dynamics, probe: Tensor) -> None:
        super().__init__(dynamics)
        self.probe = probe

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """Return the entropies."""
        return entropy_rows(attention_entropies(model, self.probe))


def entropy_rows(entropies: dict[int, Tensor]) -> list[Row]:
    """Convert the result of `attention_entropies` to rows."""
    names = ("attention_entropy", "attention_entropy_normalised")
    return [
        Row(name, value, layer=layer, head=head)
        for layer, table in entropies.items()
        for name, values in zip(names, table.tolist(), strict=True)
        for head, value in enumerate(values)
    ]
