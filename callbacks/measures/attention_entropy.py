"""Entropy of attention probabilities, in nats and as a share of the largest possible value."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .attention_probabilities import observe_attention


def attention_entropy(probabilities: Tensor) -> Tensor:
    """Return H = -sum_j a_j log a_j in nats over the last dimension, with 0 log 0 = 0."""
    return torch.special.entr(probabilities).sum(-1)


class EntropySums:
    """Sums over positions that see at least two tokens; a position that sees one has entropy 0 by necessity."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.counts: dict[int, Tensor] = {}

    def add(self, layer: int, probabilities: Tensor, visible: Tensor) -> None:
        """Add probabilities (B, H, T, S); `visible` (B or 1, 1, T) is the number of tokens each query sees."""
        entropy = attention_entropy(probabilities)  # (B, H, T)
        counted = (visible > 1).expand(entropy.shape[0], 1, -1)
        # The clamp avoids log 1 = 0 at positions that are not counted.
        pair = torch.stack([entropy, entropy / visible.clamp(min=2).log()])
        total = torch.where(counted, pair, 0).sum((1, 3)).double()  # (2, H)
        self.sums[layer] = self.sums[layer] + total if layer in self.sums else total
        self.counts[layer] = self.counts[layer] + counted.sum() if layer in self.counts else counted.sum()

    def means(self) -> dict[int, Tensor]:
        """Return for each layer (2, H): mean entropy in nats, and normalised; NaN if no position sees two tokens."""
        return {layer: self.sums[layer] / self.counts[layer] for layer in sorted(self.sums)}


def attention_entropies(model: PreTrainedModel, input_ids: Tensor, max_scores: int = 2**24) -> dict[int, Tensor]:
    """Measure the mean attention entropy of each head over a batch.

    Args:
        model, input_ids, max_scores: see `observe_attention`, which says what it raises.

    Returns:
        For each layer (2, H) float64, averaged over the positions that see at least two tokens: entropy in nats, and
        entropy divided by the logarithm of the number of visible tokens (1: uniform, 0: all on one token).
    """
    sums = EntropySums()
    observe_attention(model, input_ids, sums.add, max_scores)
    return {layer: entropies.cpu() for layer, entropies in sums.means().items()}
