"""Where one curve turns or steps, which a smooth monotone curve would not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .departure_test import Model, find_departures
from .piecewise import Array, autocorrelation, noise
from .smooth import Fit, departures, fit, gains
from .turns import Turn, measure, turns

# Shorter curves are not analysed.
MINIMUM_POINTS = 10
# Longer curves are averaged over neighbours to this many points.
MAXIMUM_POINTS = 100
RESAMPLES = 199
# A phase is the same with and without the learning rate when it moves by less than this share of the run.
SAME_PLACE = 0.15


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, value: float | np.float64, draws: Array) -> "Estimate":
        """The percentiles of bootstrap draws, widened to hold the value."""
        low, high = np.quantile(draws, (0.025, 0.975))
        return cls(float(value), float(min(low, value)), float(max(high, value)))


@dataclass(frozen=True)
class ChangePoint:
    """A place where a curve does what a smooth monotone curve with its noise would not.

    Attributes:
        kind: `peak`, `dip` or `step`.
        at: its position.
        before, after: how far the fit moves towards the turn and away from it; of a step, both are its size.
        p_value: of the test against smooth monotone curves.
        rate_p_value: of the test against smooth monotone curves that also follow the learning rate, at least
            `p_value`; None when the learning rate is not known.
    """

    kind: str
    at: Estimate
    before: Estimate
    after: Estimate
    p_value: float
    rate_p_value: float | None = None


@dataclass(frozen=True)
class Segment:
    """A piece of the fit from `start` to `end`; `slope` is the mean change of y for one unit of x."""

    start: float
    end: float
    slope: Estimate

    @property
    def trend(self) -> str:
        """`rises` or `falls`; `level or uncertain` when the interval of the slope holds 0."""
        return "rises" if self.slope.low > 0 else "falls" if self.slope.high < 0 else "level or uncertain"


@dataclass(frozen=True)
class Knee:
    """A change from rising to falling: its position, the rise before it and the fall after it."""

    at: Estimate
    rise: Estimate
    fall: Estimate


@dataclass(frozen=True)
class CurvePhases:
    """The result of `analyse`.

    Attributes:
        points: number of finite values, after averaging to `MAXIMUM_POINTS`.
        note: why the curve was not analysed; empty when it was.
        autocorrelation: of the noise, at lag 1.
        x, fitted: (n,) the fit.
        draws: (RESAMPLES, n) fits to bootstrap samples of the curve.
    """

    points: int
    note: str = ""
    autocorrelation: float = 0.0
    change_points: list[ChangePoint] = field(default_factory=list)
    x: Array = field(default_factory=lambda: np.empty(0))
    fitted: Array = field(default_factory=lambda: np.empty(0))
    draws: Array = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def segments(self) -> list[Segment]:
        """The pieces of the fit between its change points; without any, the whole fit."""
        if not len(self.x):
            return []
        ends = [float(self.x[0]), *(point.at.value for point in self.change_points), float(self.x[-1])]
        pieces = []
        for start, end in pairwise(ends):
            i, j = np.searchsorted(self.x, (start, end))
            slope = (self.fitted[j] - self.fitted[i]) / (end - start)
            slopes = (self.draws[:, j] - self.draws[:, i]) / (end - start)
            pieces.append(Segment(start, end, Estimate.from_draws(slope, slopes)))
        return pieces

    @property
    def knee(self) -> Knee | None:
        """The most prominent peak; None when there is none."""
        peaks = [point for point in self.change_points if point.kind == "peak"]
        best = max(peaks, key=lambda peak: min(peak.before.value, peak.after.value), default=None)
        return Knee(best.at, best.before, best.after) if best else None


def analyse(x: Array, y: Array, rate: Array | None = None, seed: int = 0) -> CurvePhases:
    """Fit a smooth monotone curve, and the departures from one that a test finds.

    The fit is a smooth monotone curve plus at most three bends, steps or bumps: see `find_departures`. A phase is what
    the fit does with them and no smooth monotone curve does: a peak or a dip, see `turns`. It must stand out in
    97.5 % of `RESAMPLES` refits to the fit plus noise of the curve's own autocorrelation, in which the departures
    move. Intervals are percentiles of these refits. A bend is none, nor is a steep begin. How often phases are found
    where there is none: see `measure_false_alarms`.

    Args:
        x: (n,) positions in rising order, usually steps.
        y: (n,) values; NaN and infinity do not count.
        rate: (n,) the learning rate, for a second test of each phase.
        seed: for the resampling.
    """
    finite = np.isfinite(y) & np.isfinite(x)
    x, y = _thinned(x[finite].astype(float)), _thinned(y[finite].astype(float))
    rate = None if rate is None else _thinned(rate[finite].astype(float))
    n = len(x)
    if n < MINIMUM_POINTS:
        return CurvePhases(n, f"too few points: {n}, at least {MINIMUM_POINTS} are needed")
    scale, span = np.ptp(y), np.ptp(x)
    if scale <= 1e-9 * np.abs(y).max() or span == 0:
        return CurvePhases(n, "constant")
    t, values = (x - x[0]) / span, (y - y.mean()) / scale
    phi = autocorrelation(t, values)
    model = find_departures(t, values, None)
    best = fit(model.rising, model.columns[:, model.chosen], values)
    draws = _draws(t, values, model, best, phi, np.random.default_rng(seed))
    places = departures(t)[1][model.chosen]
    beside_rate = _beside_rate(t, values, rate) if rate is not None and len(places) else None
    points = []
    departed = model.columns[:, model.chosen] @ best.free
    for turn in turns(t, best.values, departed) if len(places) else ():
        p_value = model.p_values[int(np.abs(places - turn.at).argmin())]
        drawn = measure(turn, t, draws)
        before, after = (
            Estimate.from_draws(scale * size, scale * sizes) for size, sizes in zip(turn.sizes, drawn[1:], strict=True)
        )
        if before.low > 0 and after.low > 0:
            at = _place(x, x[0] + span * turn.at, x[0] + span * drawn[0])
            rate_p_value = None if beside_rate is None else max(p_value, beside_rate(turn))
            points.append(ChangePoint(turn.kind, at, before, after, p_value, rate_p_value))
    curve, curves = y.mean() + scale * best.values, y.mean() + scale * draws
    return CurvePhases(n, "", phi, points, x, curve, curves)


def _thinned(values: Array) -> Array:
    """Average neighbours to at most `MAXIMUM_POINTS` points."""
    if len(values) <= MAXIMUM_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MAXIMUM_POINTS)])


def _draws(t: Array, values: Array, model: Model, best: Fit, phi: float, rng: np.random.Generator) -> Array:
    """Fits to the fit plus noise, (RESAMPLES, n); each departure moves within its family while the others stay."""
    family = departures(t)[2]
    deviation = _deviation(values - best.values, best.active, model.columns[:, model.chosen], phi)
    sampled = best.values[:, None] + noise(phi, deviation, (len(t), RESAMPLES), rng)
    means = sampled.mean(0)
    sampled -= means
    moved = np.empty((len(model.chosen), RESAMPLES), np.intp)
    for i, own in enumerate(model.chosen):
        alike = np.flatnonzero(family == family[own])
        others = np.delete(best.active, best.active.shape[1] - len(model.chosen) + i, axis=1)
        moved[i] = alike[gains(others, model.columns[:, alike], sampled).argmax(0)]
    refits = [
        fit(model.rising, model.columns[:, moved[:, i]], sampled[:, i], (best.direction,)).values
        for i in range(RESAMPLES)
    ]
    return np.array(refits) + means[:, None]


def _deviation(residual: Array, active: Array, chosen: Array, phi: float) -> float:
    """Standard deviation of the noise: the residual over the share of noise that such a fit leaves on average."""
    # The fit follows the noise with its mean, its columns and the places of its departures.
    n = len(residual)
    columns = np.concatenate([np.ones((n, 1)), active, np.diff(chosen, axis=0, prepend=0.0)], axis=1)
    left = np.eye(n) - columns @ np.linalg.pinv(columns)
    correlation = phi ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    expected = np.trace(left @ correlation)
    return float(np.sqrt(residual @ residual / expected)) if expected > 1e-9 else 0.0


def _beside_rate(t: Array, values: Array, rate: Array) -> Callable[[Turn], float]:
    """A function from a turn to its p-value when the smooth curve may contain a multiple of the learning rate.

    This is the p-value of the first departure from such a curve, unless the turn is in its smooth part and no longer
    in what is left without the learning rate; it is then 1.
    """
    model = find_departures(t, values, rate)
    if not model.chosen:
        return lambda turn: 1.0
    best = fit(model.rising, model.columns[:, model.chosen], values)
    departed = model.columns[:, model.chosen] @ best.free
    followed = model.rising[:, -1] * best.others[-1] if np.ptp(rate) > 0 else np.zeros_like(t)
    left, smooth = turns(t, best.values - followed, departed), turns(t, best.values - departed, departed)
    return lambda turn: 1.0 if _has(smooth, turn) and not _has(left, turn) else model.p_values[0]


def _has(listed: list[Turn], turn: Turn) -> bool:
    """True when one of the turns is of the same kind and at the same place."""
    return any(other.kind == turn.kind and abs(other.at - turn.at) <= SAME_PLACE for other in listed)


def _place(x: Array, at: float, draws: Array) -> Estimate:
    """An estimate of a position; its interval is wider by half the distance between points, its resolution."""
    half = 0.5 * np.interp(at, (x[1:] + x[:-1]) / 2, np.diff(x))
    inner = Estimate.from_draws(at, draws)
    return Estimate(inner.value, max(float(x[0]), inner.low - half), min(float(x[-1]), inner.high + half))
