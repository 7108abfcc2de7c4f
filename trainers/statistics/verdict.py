"""What paired comparisons show: better, worse, equivalent, or too few seeds to say."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from .paired import Comparison

MOST_SEEDS = 1000


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values so that the chance of any false rejection stays at the level (Holm 1979); NaN stays NaN."""
    adjusted = np.array(p_values, dtype=float)
    known = np.isfinite(adjusted)
    if known.any():
        adjusted[known] = multipletests(adjusted[known], method="holm")[1]
    return adjusted.tolist()


def verdict(comparison: Comparison, p: float, margin: float, lower_is_better: bool, level: float = 0.05) -> str:
    """Say what a comparison shows.

    Args:
        comparison: of treatment and control.
        p: of the difference, adjusted for the family of tests it belongs to.
        margin: the smallest difference that matters, fixed before the runs.
        lower_is_better: as for a loss.
        level: of every test.

    Returns:
        `identical`, `better`, `better, but below the margin`, `worse`, `worse, but below the margin`,
        `equivalent within the margin`, or `undecided` with the number of seeds that would decide it.
    """
    if comparison.identical:
        return "identical"
    within = comparison.equivalence_p(margin) < level
    if p < level:
        direction = "better" if (comparison.mean < 0) == lower_is_better else "worse"
        return f"{direction}, but below the margin" if within else direction
    if within:
        return "equivalent within the margin"
    if len(comparison.differences) == 1:
        return "undecided: one seed compares two checkpoints, not two methods"
    spread, fixed = float(np.std(comparison.differences, ddof=1)), comparison.other_variance
    needed = seeds_needed(spread, margin, other_variance=fixed)
    if needed > MOST_SEEDS and fixed and seeds_needed(spread, margin) <= MOST_SEEDS:
        return f"undecided: no number of seeds, only a larger test set would show a difference of {margin:g}"
    more = f"more than {MOST_SEEDS}" if needed > MOST_SEEDS else f"about {needed}"
    return f"undecided: {more} seeds would show a difference of {margin:g}"


def seeds_needed(
    spread: float, difference: float, power: float = 0.8, level: float = 0.05, other_variance: float = 0.0
) -> int:
    """Seeds with which a paired t test finds a difference at the given power.

    Args:
        spread: standard deviation of the paired differences.
        difference: to find, above 0.
        power: chance to find it.
        level: of the test, two-sided.
        other_variance: of the mean difference, whatever the number of seeds (see `Comparison.other_variance`).

    Returns:
        The number, at least 3; `MOST_SEEDS` + 1 where even so many would not do.
    """
    if spread == 0 and other_variance == 0:
        return 3
    # The normal approximation is a lower bound, from which a few steps reach the exact number.
    quantiles = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    seeds = max(3, math.floor((quantiles * spread / difference) ** 2))
    while seeds <= MOST_SEEDS:
        effect = difference / math.sqrt(spread**2 + seeds * other_variance)
        if TTestPower().power(effect, seeds, level) >= power:
            return seeds
        seeds += 1
    return MOST_SEEDS + 1
