"""The test of a curve against smooth monotone curves plus autocorrelated noise."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .piecewise import LARGEST_AUTOCORRELATION, Array, autocorrelation, noise
from .smooth import departures, fit, gains, rising_columns

ALPHA = 0.05
ALPHA_OF_A_PAIR = 0.01
# At most so many departures of a curve.
MAXIMUM_DEPARTURES = 3
# Simulated curves of noise. The p-value of a statistic among the largest tenth is read from a Pareto tail.
SIMULATED = 499
TAIL = 0.1
# Autocorrelations are rounded up to a multiple of this, so that curves share their simulation.
CLASS = 0.1
# Added to the estimated autocorrelation: with one, smooth curves in noise of autocorrelation 0.8 had too many phases.
STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Model:
    """A smooth monotone curve and its departures: see `smooth.rising_columns` and `smooth.departures`.

    Attributes:
        chosen: indices of the departures found.
        p_values: of each beside those before it, and never below theirs.
    """

    rising: Array
    columns: Array
    chosen: list[int]
    p_values: list[float]


def find_departures(t: Array, y: Array, rate: Array | None) -> Model:
    """The smooth monotone curve of (n,) values, and the departures from it that a test finds, one after the other.

    The statistic is the share of the residual sum of squares that the best further departure removes, as an F ratio
    up to a constant. When no single one is significant, two are tested together at the level `ALPHA_OF_A_PAIR`: either
    may hide the other. The statistic is compared with that of simulated curves of noise around a level, which is the
    hardest monotone curve: a steeper one uses up more of the noise. They have the curve's length and autocorrelation
    and no learning rate, which would take up some noise too, so that many curves share a simulation.
    """
    y = y - y.mean()
    rising, columns = rising_columns(t, rate), departures(t)[0]
    model = Model(rising, columns, [], [])
    phi = CLASS * np.ceil(autocorrelation(t, y, STANDARD_ERRORS) / CLASS - 1e-9)
    phi = round(min(LARGEST_AUTOCORRELATION, float(phi)), 3)
    simulated = _simulated(t.tobytes(), phi)
    while len(model.chosen) < MAXIMUM_DEPARTURES:
        single, pair = _statistics(rising, columns, columns[:, model.chosen], y)
        count, p_value = 1, _p_value(single, simulated[0])
        if p_value > ALPHA and not model.chosen:
            count, p_value = 2, _p_value(pair, simulated[1]) * ALPHA / ALPHA_OF_A_PAIR
        if p_value > ALPHA:
            break
        # The test tries a few departures, because it does so for every simulated curve; the fit gets the best of all.
        for _ in range(count):
            beside = columns[:, model.chosen]
            model.chosen.append(min(range(columns.shape[1]), key=lambda i: _with(rising, beside, columns[:, i], y)))
            model.p_values.append(max([p_value, *model.p_values]))
    return model


@lru_cache(maxsize=512)
def _simulated(times: bytes, phi: float) -> Array:
    """Both statistics of simulated curves of noise, each in rising order; times are bytes, to be a key."""
    t = np.frombuffer(times)
    rising, columns = rising_columns(t, None), departures(t)[0]
    values = noise(phi, 1.0, (len(t), SIMULATED), np.random.default_rng(0))
    values -= values.mean(0)
    return np.sort([_statistics(rising, columns, columns[:, :0], value) for value in values.T], axis=0).T


def _p_value(statistic: float, simulated: Array) -> float:
    """The share of simulated statistics that are as large; far out, that of a Pareto tail (Hill 1975).

    The tail of an F ratio is thinner than that until it becomes one, so that such a p-value is rather too large.
    """
    if statistic <= 0:
        return 1.0
    start = np.quantile(simulated, 1 - TAIL)
    if statistic <= start:
        return float((1 + (simulated >= statistic).sum()) / (len(simulated) + 1))
    index = 1 / np.log(simulated[simulated > start] / start).mean()
    return float(TAIL * (start / statistic) ** index)


def _statistics(rising: Array, columns: Array, before: Array, y: Array) -> tuple[float, float]:
    """F ratios of the best further departure beside those `before`, and of the best two; 0 when none improves the fit.

    Each time two are tried: the best one beside the columns that the monotone fit uses, and beside all columns.
    """
    first = plain = fit(rising, before, y).rss
    if plain < 1e-20 * (y @ y):
        return 0.0, 0.0
    ratios = []
    for _ in range(2):
        starts = (fit(rising, before, y).active, np.concatenate([rising, before], axis=1))
        tried = {int(gains(active, columns, y[:, None])[:, 0].argmax()) for active in starts}
        place = min(tried, key=lambda i: _with(rising, before, columns[:, i], y))
        before = np.column_stack([before, columns[:, place]])
        first = min(first, fit(rising, before, y).rss)
        ratios.append(float((plain - first) / max(first, 1e-300)))
    return ratios[0], ratios[1]


def _with(rising: Array, before: Array, column: Array, y: Array) -> float:
    """Residual sum of squares with a further departure."""
    return fit(rising, np.column_stack([before, column]), y).rss
