"""How the knee relates to what a run is worth in the end, over runs."""

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from scipy.stats import rankdata

from .curve import Estimate
from .piecewise import Array

# With five runs the smallest two-sided p-value that a permutation can have is 2/120; below that nothing can be shown.
MINIMUM_RUNS = 5
RESAMPLES = 2000
# 7!: up to seven runs every order is tried, above that so many.
PERMUTATIONS = 5040


@dataclass(frozen=True)
class Relation:
    """Spearman's rank correlation over runs.

    Attributes:
        runs: that have both values.
        correlation: with its bootstrap interval over runs; None where there are too few, or one side is constant.
        p_value: two-sided, of the permutation test (exact up to seven runs).
        note: why there is no correlation; empty where there is one.
    """

    runs: int
    correlation: Estimate | None
    p_value: float | None
    note: str = ""


def relate(first: Array, second: Array, seed: int = 0) -> Relation:
    """Relate two values of each run; runs that lack one (NaN) are left out.

    Args:
        first: (n,) such as the step of the knee.
        second: (n,) such as the final query accuracy.
        seed: of resampling and permuting.
    """
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    n = len(first)
    if n < MINIMUM_RUNS:
        return Relation(n, None, None, f"too few runs: {n} with both values, at least {MINIMUM_RUNS} are needed")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Relation(n, None, None, "one of the two is the same in all runs")
    rng = np.random.default_rng(seed)
    found = float(_spearman(first[None], second[None])[0])
    picked = rng.integers(n, size=(RESAMPLES, n))
    resampled = _spearman(first[picked], second[picked])
    if factorial(n) <= PERMUTATIONS:
        orders = np.array(list(permutations(range(n))))
    else:
        orders = np.array([rng.permutation(n) for _ in range(PERMUTATIONS)])
    null = _spearman(first[None], second[orders])
    extreme = (np.abs(null) >= abs(found) - 1e-12).sum()
    exact = len(orders) == factorial(n)
    p_value = extreme / len(orders) if exact else (extreme + 1) / (len(orders) + 1)
    return Relation(n, Estimate.from_draws(found, resampled[np.isfinite(resampled)]), float(p_value))


def _spearman(first: Array, second: Array) -> Array:
    """Pearson's correlation of the ranks in each row, ties sharing theirs; NaN where one side is constant."""
    ranks = (rankdata(values, axis=1) for values in (first, second))
    a, b = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return (a * b).sum(1) / np.where(size > 0, size, np.nan)
