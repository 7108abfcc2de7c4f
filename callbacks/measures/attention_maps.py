"""Functions of the attention maps of a decoder: the (T, T) probabilities of each head on each row of a text."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .attention_probabilities import observe_attention


class AttentionMaps:
    """Applies functions to each head's map as soon as the map is whole, so that only one layer's maps are held."""

    def __init__(self, functions: Sequence[Callable[[Tensor], float]]) -> None:
        self.functions = functions
        self.values: dict[int, list[Tensor]] = defaultdict(list)  # by layer, (F, H) of each row
        self._pieces: list[Tensor] = []

    def add(self, layer: int, probabilities: Tensor, visible: Tensor) -> None:
        """Add the next queries (B, H, t, T) of a layer."""
        self._pieces.append(probabilities)
        if sum(piece.shape[2] for piece in self._pieces) < probabilities.shape[3]:
            return
        maps = torch.cat(self._pieces, dim=2)
        self._pieces = []
        for row in maps:
            self.values[layer].append(torch.tensor([[of(head) for head in row] for of in self.functions]))

    def means(self) -> dict[int, Tensor]:
        """Return for each layer the mean over rows of each function and head: (F, H)."""
        return {layer: torch.stack(rows).double().mean(0) for layer, rows in self.values.items()}


def attention_values(
    model: PreTrainedModel,
    input_ids: Tensor,
    functions: Sequence[Callable[[Tensor], float]],
    max_scores: int = 2**24,
) -> dict[int, Tensor]:
    """Return for each layer (F, H): the value of F functions for each head's attention map (T, T), averaged over rows.

    It holds the H maps of one layer at a time. See `observe_attention` for the models that can be measured.

    Args:
        model: the model.
        input_ids: (R, T) token ids.
        functions: of a (T, T) matrix, whose rows sum to 1.
        max_scores: see `observe_attention`.
    """
    maps = AttentionMaps(functions)
    observe_attention(model, input_ids, maps.add, max_scores)
    return maps.means()
