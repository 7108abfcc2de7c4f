"""Rank correlation across runs, such as of knee and final accuracy."""

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from scipy.stats import rankdata

from .curve import Estimate
from .piecewise import Array

# With five runs the smallest two-sided p-value of a permutation test is 2/120; with fewer it is above 0.05.
MINIMUM_RUNS = 5
RESAMPLES = 2000
# 7!: all orders of up to seven runs; of more runs, as many random orders.
PERMUTATIONS = 5040


@dataclass(frozen=True)
class Relation:
    """Spearman's rank correlation over runs.

    Attributes:
        runs: number of runs that have both values.
        correlation: with its bootstrap interval over runs; None with too few runs or one constant side.
        p_value: two-sided, from a permutation test that is exact up to seven runs.
        note: why there is no correlation; empty when there is one.
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
    correlation = float(_spearman(first[None], second[None])[0])
    picked = rng.integers(n, size=(RESAMPLES, n))
    resampled = _spearman(first[picked], second[picked])
    if factorial(n) <= PERMUTATIONS:
        orders = np.array(list(permutations(range(n))))
    else:
        orders = np.array([rng.permutation(n) for _ in range(PERMUTATIONS)])
    null = _spearman(first[None], second[orders])
    extreme = (np.abs(null) >= abs(correlation) - 1e-12).sum()
    exact = len(orders) == factorial(n)
    p_value = extreme / len(orders) if exact else (extreme + 1) / (len(orders) + 1)
    return Relation(n, Estimate.from_draws(correlation, resampled[np.isfinite(resampled)]), float(p_value))


def _spearman(first: Array, second: Array) -> Array:
    """Spearman's correlation of each row, ties sharing their rank; NaN where one side is constant."""
    ranks = (rankdata(values, axis=1) for values in (first, second))
    a, b = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return (a * b).sum(1) / np.where(size > 0, size, np.nan)
