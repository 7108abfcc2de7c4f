"""Could a difference in F1 come from the pretraining seeds, or from the choice of test sentences?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...statistics import Comparison, compare_pairs
from ..entity_counts import micro_f1


class Difference(NamedTuple):
    """F1 of the second arm minus that of the first.

    Attributes:
        runs: pretraining runs an arm.
        low, high, p: 95 % interval over runs and sentences, and two-sided p-value; NaN with one run.
        sentences_low, sentences_high: with one run, 95 % interval over sentences of the difference between these two
            checkpoints, which says nothing about other runs; NaN with more runs.
    """

    runs: int
    difference: float
    low: float
    high: float
    p: float
    sentences_low: float
    sentences_high: float


def compare_arms(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], samples: int = 1000, seed: int = 0
) -> Difference:
    """Compare two ways of pretraining on one test set; see `cross` for the arguments, the method and the errors."""
    if len(first) == len(second) == 1:
        (difference,), resampled = _differences(first, second, samples, seed)
        low, high = np.quantile(resampled, (0.025, 0.975))
        return Difference(1, float(difference), np.nan, np.nan, np.nan, float(low), float(high))
    found = cross(first, second, samples, seed)
    return Difference(len(first), found.mean, found.low, found.high, found.p, np.nan, np.nan)


def cross(first: Sequence[np.ndarray], second: Sequence[np.ndarray], samples: int = 1000, seed: int = 0) -> Comparison:
    """F1 of the second arm minus that of the first; a run is a pretraining seed, and runs are paired by it.

    The variance of the mean difference is that of runs crossed with sentences (Cameron, Gelbach and Miller 2011): by
    run, plus by sentence, minus by both, and never less than either of the first two. That by sentence comes from
    resamples of the test set that serve all runs and both arms (Koehn 2004). The test is Student's with one degree of
    freedom less than there are runs.

    Args:
        first, second: for each run, in the same order, (J, S, 3) correct, predicted and gold entities of each
            fine-tuning seed and sentence. F1 is averaged over the fine-tuning seeds of a run.
        samples: number of resamples of the sentences.
        seed: of the resampling.

    Raises:
        ValueError: no run, different numbers of runs, or different numbers of sentences.
    """
    differences, resampled = _differences(first, second, samples, seed)
    zeros = np.zeros_like(differences)
    if len(differences) == 1:
        return compare_pairs(differences, zeros)
    by_run = differences.var(ddof=1) / len(differences)
    by_sentence = resampled.mean(axis=0).var(ddof=1)
    by_both = resampled.var(axis=1, ddof=1).mean() / len(differences)
    beyond_runs = max(by_sentence - by_both, by_sentence - by_run, 0.0)
    return compare_pairs(differences, zeros, other_variance=float(beyond_runs))


def _differences(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(R,) differences in F1 of the runs, and (R, samples) of resamples of the sentences."""
    if not first or len(first) != len(second):
        raise ValueError(f"the arms have {len(first)} and {len(second)} runs: pair them")
    sizes = sorted({counts.shape[1] for counts in (*first, *second)})
    if len(sizes) > 1:
        raise ValueError(f"the systems were scored on {' and '.join(map(str, sizes))} sentences")
    (size,) = sizes
    draws = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=samples)
    weights = np.concatenate([np.ones((1, size)), draws])

    def f1(run: np.ndarray) -> np.ndarray:
        return micro_f1(weights @ run.astype(float)).mean(axis=0)

    both = np.array([f1(treatment) - f1(control) for control, treatment in zip(first, second, strict=True)])
    return both[:, 0], both[:, 1:]
