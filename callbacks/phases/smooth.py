"""Smooth monotone curves, and what a curve may do beside being one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from .piecewise import Array

# Intervals of the splines over time and over the logarithm of time.
LINEAR_INTERVALS = 3
LOG_INTERVALS = 5
DEGREE = 2
# Departures are tried away from the ends: this share of the points, at least two of them.
MARGIN = 0.05
# An abrupt step within this share of the run cannot be told from the steep begin of a power law.
EARLY = 0.1
# Widths as shares of the run: of a sigmoid step, and half of the base of a bump.
STEP_WIDTHS = (0.005, 0.02, 0.05)
BUMP_WIDTHS = (0.06, 0.12)


@dataclass(frozen=True)
class Fit:
    """A least-squares fit: residual sum of squares, the columns in use, (n,) values, coefficients of the free columns
    and of all others, and 1 for a rising curve or -1 for a falling one."""

    rss: float
    active: Array
    values: Array
    free: Array
    others: Array
    direction: int


def rising_columns(t: Array, rate: Array | None) -> Array:
    """Columns whose non-negative combinations are smooth rising curves: (n,) times in [0, 1] to (n, p), centred.

    These are I-splines (Ramsay 1988) over time and over its logarithm: a power law is as smooth over the latter as a
    cosine is over the former. With a learning rate (n,) its negative is one more column. A curve that falls after
    warm-up with the learning rate, and otherwise only falls, is then a negative combination; the other way round, one
    that rises as the learning rate falls a positive one.
    """
    shift = max(0.01, 0.5 * t[1])
    columns = [_i_splines(t, LINEAR_INTERVALS), _i_splines(np.log1p(t / shift) / np.log1p(1 / shift), LOG_INTERVALS)]
    if rate is not None and np.ptp(rate) > 0:
        columns.append(-rate[:, None] / np.ptp(rate))
    joined = np.concatenate(columns, axis=1)
    return np.asarray(joined - joined.mean(0))


def _i_splines(u: Array, intervals: int) -> Array:
    """Splines that rise from 0 to 1 over [0, 1], one a column."""
    knots = np.concatenate([np.zeros(DEGREE), np.linspace(0, 1, intervals + 1), np.ones(DEGREE)])
    splines = BSpline.design_matrix(np.clip(u, 0, 1), knots, DEGREE).toarray()
    return np.asarray(splines[:, ::-1].cumsum(1)[:, ::-1][:, 1:])


def departures(t: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """What a smooth monotone curve does not do: bends, steps and bumps at every place.

    Returns centred columns (n, c), the place of each (c,), and its family (c,): 0 for bends, then one a width.
    """
    margin = max(2, int(MARGIN * len(t)))
    places = t[margin:-margin]
    between = (t[margin - 1 : -margin] + t[margin : len(t) - margin + 1]) / 2
    between = between[between >= EARLY]
    columns = [np.maximum(0.0, t[:, None] - places)]
    columns += [0.5 + 0.5 * np.tanh((t[:, None] - between) / (2 * width)) for width in STEP_WIDTHS]
    columns += [np.maximum(0.0, 1 - np.abs(t[:, None] - places) / width) for width in BUMP_WIDTHS]
    at = [places, *[between] * len(STEP_WIDTHS), *[places] * len(BUMP_WIDTHS)]
    joined = np.concatenate(columns, axis=1)
    family = np.repeat(np.arange(len(at)), [len(part) for part in at])
    return joined - joined.mean(0), np.concatenate(at), family


def fit(rising: Array, free: Array, y: Array, directions: tuple[int, ...] = (1, -1)) -> Fit:
    """The best monotone curve plus any multiples of the free columns (n, m), for centred values (n,)."""
    best: Fit | None = None
    p, m = rising.shape[1], free.shape[1]
    for direction in directions:
        columns = np.concatenate([direction * rising, free, -free], axis=1)
        weights, norm = nnls(columns, y)
        if best is None or norm**2 < best.rss:
            active = np.concatenate([columns[:, :p][:, weights[:p] > 0], free], axis=1)
            both = weights[p : p + m] - weights[p + m :]
            best = Fit(norm**2, active, columns @ weights, both, direction * weights[:p], direction)
    assert best is not None
    return best


def gains(active: Array, columns: Array, values: Array) -> Array:
    """How much each column (n, c), added to the active ones, lowers the residual sum of squares: (n, b) to (c, b)."""
    basis, _ = np.linalg.qr(active)
    sizes = (columns**2).sum(0)
    left = sizes - ((basis.T @ columns) ** 2).sum(0)
    left[left < 1e-6 * sizes] = np.inf
    return np.asarray((columns.T @ (values - basis @ (basis.T @ values))) ** 2 / left[:, None])
