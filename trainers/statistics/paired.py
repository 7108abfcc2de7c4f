"""Two ways of training compared over paired seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Comparison:
    """Paired differences, treatment minus control, over seeds.

    Attributes:
        differences: (n,) one a seed.
        mean, low, high: their mean and its Student interval, not adjusted for other tests; NaN with one seed.
        p: of the paired t test, two-sided; NaN with one seed.
        error: standard error of the mean, to which the interval and both tests refer; NaN with one seed.
    """

    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    p: float
    error: float

    @property
    def other_variance(self) -> float:
        """The part of the squared error that more seeds do not make smaller, such as that of the test sentences."""
        n = len(self.differences)
        return max(0.0, self.error**2 - float(np.var(self.differences, ddof=1)) / n)

    @property
    def sign_flip_p(self) -> float:
        """The p of the exact sign-flip test, two-sided."""
        if len(self.differences) == 1:
            return 1.0
        test = stats.permutation_test(
            (self.differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
        )
        return float(test.pvalue)

    @property
    def smallest_sign_flip_p(self) -> float:
        """The smallest p that the sign-flip test can give with so many seeds."""
        return min(1.0, 2 / 2 ** len(self.differences))

    @property
    def identical(self) -> bool:
        """True when treatment and control gave the same value for every seed."""
        return not any(self.differences)

    def equivalence_p(self, margin: float) -> float:
        """The p of two one-sided t tests (Schuirmann 1987) that the mean lies within the margin of 0."""
        if len(self.differences) < 2:
            return np.nan
        if not self.error:
            return 0.0 if abs(self.mean) < margin else 1.0
        # The larger of the two p values is that of the bound nearer to the mean. statsmodels takes samples only.
        return float(stats.t.sf((margin - abs(self.mean)) / self.error, len(self.differences) - 1))


def compare_pairs(
    treatment: ArrayLike, control: ArrayLike, confidence: float = 0.95, other_variance: float = 0.0
) -> Comparison:
    """Compare the values of two arms, (n,) each, in the same order of seeds.

    `other_variance` is added to the variance of the mean difference: that of what all seeds share, such as the test
    sentences.

    Raises:
        ValueError: different numbers of seeds, none, or a value that is no finite number.
    """
    differences = np.asarray(treatment, dtype=float) - np.asarray(control, dtype=float)
    if np.shape(treatment) != np.shape(control) or not differences.size or not np.isfinite(differences).all():
        raise ValueError("both arms need the same number of finite values, one a seed")
    mean = float(differences.mean())
    n = len(differences)
    if n == 1:
        return Comparison(tuple(differences.tolist()), mean, np.nan, np.nan, np.nan, np.nan)
    # Equal differences have a spread of exactly 0, which rounding would hide.
    by_seed = 0.0 if np.ptp(differences) == 0 else differences.var(ddof=1) / n
    error = float(np.sqrt(by_seed + other_variance))
    if not error:
        return Comparison(tuple(differences.tolist()), mean, mean, mean, 1.0 if mean == 0 else 0.0, 0.0)
    low, high = map(float, stats.t.interval(confidence, n - 1, mean, error))
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Comparison(tuple(differences.tolist()), mean, low, high, p, error)
