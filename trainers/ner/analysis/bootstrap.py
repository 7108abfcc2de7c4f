"""The paired bootstrap: could a difference in F1 come from the choice of test sentences?"""

from typing import NamedTuple

import numpy as np

from ..entity_counts import micro_f1


class Difference(NamedTuple):
    """F1 of the second system minus that of the first, its 95 % interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(first: np.ndarray, second: np.ndarray, samples: int = 1000, seed: int = 0) -> Difference:
    """Resample the sentences of a test set, the same ones for both systems (Koehn 2004; Berg-Kirkpatrick et al. 2012).

    Args:
        first, second: (S, 3) correct, predicted and gold entities of each sentence, summed over seeds.
        samples: number of resamples.
        seed: of the resampling.

    Raises:
        ValueError: different numbers of sentences.
    """
    if first.shape != second.shape:
        raise ValueError(f"the systems were scored on {len(first)} and {len(second)} sentences")
    size = len(first)
    weights = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=samples)
    resampled = micro_f1(weights @ second) - micro_f1(weights @ first)
    low, high = np.quantile(resampled, (0.025, 0.975))
    # Plus one above and below: no finite number of samples gives p = 0.
    tail = min((resampled <= 0).sum(), (resampled >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (samples + 1))
    observed = micro_f1(second.sum(0)) - micro_f1(first.sum(0))
    return Difference(float(observed), float(low), float(high), float(p_value))
