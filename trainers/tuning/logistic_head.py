"""A logistic head on frozen features, trained to convergence, with the L2 penalty and the layers chosen on validation.

The head is a linear classifier of standardised features. Standardisation and the mixture of layers are linear too, so
what is learned is saved as the one matrix of a Pico classifier.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Strongest first: each start is the solution before.
PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
MOST_ITERATIONS = 100
MINIMUM_DEVIATION = 1e-6


@dataclass(frozen=True)
class LogisticHead:
    """A fitted head: (C, W) weight and (C,) bias for raw features, and the L2 penalty it was fitted with."""

    weight: Tensor
    bias: Tensor
    penalty: float

    def __call__(self, features: Tensor) -> Tensor:
        """Logits (M, C) of features (M, W)."""
        return F.linear(features, self.weight, self.bias)


def mean_and_deviation(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each of M features (M, W), for standardisation; one row deviates by nothing."""
    deviation = features.std(0) if len(features) > 1 else torch.zeros_like(features[0])
    return features.mean(0), deviation.clamp(min=MINIMUM_DEVIATION)


def fit(
    features: Tensor,
    labels: Tensor,
    classes: int,
    score: Callable[["LogisticHead"], float],
    layers: int = 0,
    penalties: Sequence[float] = PENALTIES,
) -> LogisticHead:
    """Fit a head for each of the penalties and keep the one with the best score.

    Args:
        features: (M, W) of labelled sub-words or texts.
        labels: (M,) classes.
        classes: C.
        score: of a head on validation, higher is better.
        layers: S, the features are S states of the same width, which a scalar mixture adds up (Peters et al. 2018,
            ELMo, equation 1); 0: they are classified side by side.
        penalties: of the squared weights beside the mean loss of a label, strongest first.
    """
    mean, deviation = mean_and_deviation(features)
    standard = (features - mean) / deviation
    width = standard.shape[1] // layers if layers else standard.shape[1]
    mixture = torch.zeros(max(layers, 1), requires_grad=bool(layers))
    weight, bias = torch.zeros(classes, width, requires_grad=True), torch.zeros(classes, requires_grad=True)

    def flat() -> Tensor:
        """(C, W): the weight of every feature."""
        return (mixture.softmax(0)[:, None] * weight[:, None]).flatten(1) * max(layers, 1) if layers else weight

    best: tuple[float, LogisticHead] | None = None
    for penalty in penalties:
        solver = torch.optim.LBFGS(
            [weight, bias, *([mixture] if layers else [])], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def loss(penalty: float = penalty, solver: torch.optim.LBFGS = solver) -> Tensor:
            solver.zero_grad()
            value = F.cross_entropy(F.linear(standard, flat(), bias), labels) + penalty * weight.square().sum()
            value.backward()
            return value

        solver.step(loss)
        with torch.no_grad():
            raw = flat() / deviation
            head = LogisticHead(raw.clone(), bias - raw @ mean, penalty)
        found = score(head)
        if best is None or found > best[0]:
            best = found, head
    assert best is not None
    return best[1]
