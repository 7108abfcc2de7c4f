"""The interval of a mean over outcomes that share words and documents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def crossed_interval(
    outcomes: ArrayLike, words: ArrayLike, documents: ArrayLike, confidence: float = 0.95
) -> Interval:
    """Mean of (M,) outcomes and its interval when outcomes of one word, or of one document, vary together.

    The variance is that of two crossed clusterings (Cameron, Gelbach and Miller 2011): by word, plus by document,
    minus by pair, and never less than either of the first two. The interval is Student's with one degree of freedom
    less than there are words or documents, whichever are fewer.

    Args:
        outcomes: (M,) values, such as 0 and 1 for wrong and right answers, or their differences between two models.
        words, documents: (M,) the word and the document of each outcome, as integers or strings.
        confidence: of the interval.

    Returns:
        The interval; its ends are NaN where there is only one word or one document.
    """
    values = np.asarray(outcomes, dtype=float)
    word, document = (np.unique(np.asarray(group), return_inverse=True)[1] for group in (words, documents))
    pair = np.unique(np.stack([word, document]), axis=1, return_inverse=True)[1]
    fewest = min(word.max(), document.max())
    mean = float(values.mean())
    if fewest == 0:
        return Interval(mean, np.nan, np.nan)
    by_word, by_document, by_pair = (_variance(values - mean, group) for group in (word, document, pair))
    variance = max(by_word + by_document - by_pair, by_word, by_document)
    half = float(stdtrit(fewest, (1 + confidence) / 2) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half)


def _variance(residuals: np.ndarray, group: np.ndarray) -> float:
    """Variance of a mean whose residuals vary together within groups, numbered from 0."""
    groups = int(group.max()) + 1
    if groups == 1:
        return 0.0
    sums = np.bincount(group, residuals)
    return float((sums**2).sum() / len(residuals) ** 2 * groups / (groups - 1))
