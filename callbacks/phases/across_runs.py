"""Rank correlation across runs, such as of knee and final accuracy."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, permutation_test, rankdata

from .curve import Estimate
from .piecewise import Array

# With five runs the smallest two-sided p-value of a permutation test is 2/120; with fewer it is above 0.05.
MINIMUM_RUNS = 5
# 7!: all orders of up to seven runs; of more runs, as many random orders.
PERMUTATIONS = 5040


@dataclass(frozen=True)
class Relation:
    """Spearman's rank correlation over the runs that have both values; without one, `note` tells why.

    Attributes:
        correlation: with a 95 % interval by Fisher's z (Bonett and Wright 2000).
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
        seed: for permuting.
    """
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    n = len(first)
    if n < MINIMUM_RUNS:
        return Relation(n, None, None, f"too few runs: {n} with both values, at least {MINIMUM_RUNS} are needed")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Relation(n, None, None, "one of the two is the same in all runs")

    rng = np.random.default_rng(seed)
    permuted = permutation_test(
        (first,),
        lambda values, axis: np.abs(_spearman(values, second, axis)),
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        rng=rng,
    )
    return Relation(n, _interval(float(_spearman(first, second)), n), float(permuted.pvalue))


def _interval(correlation: float, n: int) -> Estimate:
    """Interval of a rank correlation of n runs; one of 1 counts as the next lower value, which has a finite z."""
    greatest = 1 - 12 / (n * (n**2 - 1))
    z = np.arctanh(np.clip(correlation, -greatest, greatest))
    half = norm.ppf(0.975) * np.sqrt((1 + correlation**2 / 2) / (n - 3))
    low, high = np.tanh(z - half), np.tanh(z + half)
    return Estimate(correlation, float(min(low, correlation)), float(max(high, correlation)))


def _spearman(first: Array, second: Array, axis: int = -1) -> Array:
    """Spearman's correlation along an axis, ties sharing their rank; NaN where one side is constant."""
    ranks = (rankdata(values, axis=axis) for values in (first, second))
    a, b = (rank - rank.mean(axis, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(axis) * (b**2).sum(axis))
    return (a * b).sum(axis) / np.where(size > 0, size, np.nan)
