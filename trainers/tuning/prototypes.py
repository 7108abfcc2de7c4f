"""Class prototypes on frozen features: no training, a few labelled rows are enough."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .logistic_head import mean_and_deviation

# From (M, W) features to (M, C) logits.
Classifier = Callable[[Tensor], Tensor]
# Of cosines before the softmax; it matters to the decoding of sequences alone.
TEMPERATURE = 10


def nearest_prototype(features: Tensor, labels: Tensor, count: int) -> Classifier:
    """Classify by the cosine to the mean of each class's standardised features (Snell et al. 2017).

    Args:
        features: (M, W) of the labelled rows.
        labels: (M,) classes below `count`; one without a row never wins.
    """
    mean, deviation = mean_and_deviation(features)
    standard = (features - mean) / deviation
    sums = torch.zeros(count, features.shape[1]).index_add(0, labels, standard)
    prototypes, absent = F.normalize(sums, dim=-1), torch.bincount(labels, minlength=count) == 0

    def classify(features: Tensor) -> Tensor:
        cosine = F.normalize((features - mean) / deviation, dim=-1) @ prototypes.T
        return (TEMPERATURE * cosine).masked_fill(absent, -torch.inf)

    return classify
