"""Rank correlation across runs, such as of knee and final accuracy."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test, rankdata

from .curve import Estimate
from .piecewise import Array

# With five runs the smallest two-sided p-value of a permutation test is 2/120; with fewer it is above 0.05.
MINIMUM_RUNS = 5
RESAMPLES = 2000
# 7!: all orders of up to seven runs; of more runs, as many random orders.
PERMUTATIONS = 5040


@dataclass(frozen=True)
class Relation:
    """Spearman's rank correlation over the runs that have both values; without one, `note` tells why.

    Attributes:
        correlation: with its bootstrap interval over runs.
        p_value: two-sided, from a permutation test that is exact up to seven runs.
    """

    runs: int
    correlation: Estimate | None
    p_value: float | None
    note: str = ""


def relate(first: Array, second: Array, seed: int = 0) -> Relation:
    """Correlate two values of each run, such as the step of the knee and the query accuracy.

    Args:
        first, second: (n,), NaN where a run lacks the value; such runs do not count.
        seed: for resampling and permuting.
    """
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    n = len(first)
    if n < MINIMUM_RUNS:
        return Relation(n, None, None, f"too few runs: {n} with both values, at least {MINIMUM_RUNS} are needed")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Relation(n, None, None, "one of the two is the same in all runs")

    rng = np.random.default_rng(seed)
    picked = rng.integers(n, size=(RESAMPLES, n))
    draws = _spearman(first[picked], second[picked])
    permuted = permutation_test(
        (first,),
        lambda values, axis: np.abs(_spearman(values, second, axis)),
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        rng=rng,
    )
    correlation = Estimate.from_draws(float(_spearman(first, second)), draws[np.isfinite(draws)])
    return Relation(n, correlation, float(permuted.pvalue))


def _spearman(first: Array, second: Array, axis: int = -1) -> Array:
    """Spearman's correlation along an axis, ties sharing their rank; NaN where one side is constant."""
    ranks = (rankdata(values, axis=axis) for values in (first, second))
    a, b = (rank - rank.mean(axis, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(axis) * (b**2).sum(axis))
    return (a * b).sum(axis) / np.where(size > 0, size, np.nan)
