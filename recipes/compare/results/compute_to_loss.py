"""Compute to reach the control's final loss, from runs of several budgets that each have a schedule of their own.

A schedule that still decays is no finished run, so no loss in the middle of a run is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST_BUDGETS = 3


@dataclass(frozen=True)
class ComputeRatio:
    """Compute of an arm to reach its control's final loss, as a share of the control's.

    Attributes:
        ratios: (n,) one a seed; infinite where the arm's runs do not reach the loss, and where even its smallest
            budget does, the share of that, which is an upper bound.
        bounds: (n,) True where the ratio is only such an upper bound.
        median: of the ratios.
        mean, low, high: geometric mean and its 95 % t interval; NaN with fewer than two seeds or any that is
            censored, by either bound.
    """

    ratios: tuple[float, ...]
    bounds: tuple[bool, ...]
    median: float
    mean: float
    low: float
    high: float


def compute_to_reach(compute: Sequence[float], losses: Sequence[float], target: float) -> tuple[float, bool]:
    """Compute at which the line through (log compute, loss) falls to the target; never extrapolated.

    Returns:
        The compute, infinite if no run reaches the target; and True if already the smallest budget is at or below it,
        so that its compute is an upper bound.
    """
    order = np.argsort(compute)
    x, y = np.log(np.asarray(compute, float)[order]), np.asarray(losses, float)[order]
    reached = np.flatnonzero(y <= target)
    if not len(reached):
        return np.inf, False
    first = int(reached[0])
    if first == 0:
        return float(np.exp(x[0])), True
    share = (y[first - 1] - target) / (y[first - 1] - y[first])
    return float(np.exp(x[first - 1] + share * (x[first] - x[first - 1]))), False


def compute_ratio(
    arm: Sequence[Sequence[tuple[float, float]]], control: Sequence[tuple[float, float]]
) -> ComputeRatio:
    """Compare the (compute, loss) points of an arm, by seed, with the control's final (compute, loss) of each seed."""
    ratios, bounds = [], []
    for points, (compute, loss) in zip(arm, control, strict=True):
        reached, bound = compute_to_reach([x for x, _ in points], [y for _, y in points], loss)
        ratios.append(reached / compute)
        bounds.append(bound)
    mean = low = high = np.nan
    if len(ratios) > 1 and np.isfinite(ratios).all() and not any(bounds):
        logs = np.log(ratios)
        mean = float(np.exp(logs.mean()))
        if logs.std():
            low, high = map(float, np.exp(stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)))
        else:
            low = high = mean
    return ComputeRatio(tuple(ratios), tuple(bounds), float(np.median(ratios)), mean, low, high)
