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


def verdict(
    comparison: Comparison, p: float, margin: float, lower_is_better: bool, tests: int = 1, level: float = 0.05
) -> str:
    """Say what a comparison shows.

    Args:
        comparison: of treatment and control.
        p: of the difference, adjusted for the family of tests it belongs to.
        margin: the smallest difference that matters, fixed before the runs.
        lower_is_better: as for a loss.
        tests: in that family, for which the number of seeds is corrected (Bonferroni, which Holm begins with).
        level: of the family.

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
    seeds, spread = len(comparison.differences), float(np.std(comparison.differences, ddof=1))
    # A difference that looks larger than the margin needs fewer seeds than the margin does.
    difference = max(margin, abs(comparison.mean))
    what = f"a difference of {margin:g}" if difference == margin else f"one as large as it looks, {difference:.3g}"
    needed = seeds_needed(spread, difference, level=level / tests, other_variance=comparison.other_variance)
    if needed > MOST_SEEDS and seeds_needed(spread, difference, level=level / tests) <= MOST_SEEDS:
        return f"undecided: no number of seeds, only a larger test set would show {what}"
    more = f"more than {MOST_SEEDS}" if needed > MOST_SEEDS else f"about {max(needed, seeds + 1)}"
    return f"undecided: {more} seeds would show {what}"


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
