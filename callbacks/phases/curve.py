"""Where one curve rises, falls and changes its course."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .piecewise import Array, autocorrelation, coefficients, design, gains, noise

# Below this many finite values nothing is said.
MINIMUM_POINTS = 10
# Longer curves are averaged over neighbours down to this many points.
MAXIMUM_POINTS = 100
MAXIMUM_KNOTS = 4
# A peak is called a knee when it stands out on both sides by this share of the fitted curve's range.
MINIMUM_PROMINENCE = 0.05
ALPHA = 0.05
ALPHA_OF_A_PAIR = 0.01
RESAMPLES = 199
# Of two knots that are looked for together, places that the first is tried at.
PAIRS = 6


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, value: float, draws: Array) -> "Estimate":
        """Percentiles of the draws, and the value itself in any case."""
        low, high = np.quantile(draws, (0.025, 0.975))
        return cls(float(value), float(min(low, value)), float(max(high, value)))


@dataclass(frozen=True)
class ChangePoint:
    """Where the slope changes.

    Attributes:
        at: position, in the unit of the curve's x.
        p_value: of the test for this change point beside all others.
    """

    at: Estimate
    p_value: float


@dataclass(frozen=True)
class Segment:
    """A straight piece: from `start` to `end`, `slope` a unit of x; `trend`: see `_segment`."""

    start: float
    end: float
    slope: Estimate
    trend: str


@dataclass(frozen=True)
class Knee:
    """A change from rising to falling: where, and by how much the curve rose before and fell after."""

    at: Estimate
    rise: Estimate
    fall: Estimate


@dataclass(frozen=True)
class CurvePhases:
    """What `analyse` found.

    Attributes:
        points: values the analysis rests on (finite ones, after averaging down to `MAXIMUM_POINTS`).
        note: why there is no analysis; empty where there is one.
        autocorrelation: estimated lag-1 autocorrelation of the noise.
        x, fitted: (n,) the piecewise-linear fit.
        draws: (RESAMPLES, n) fits to bootstrap resamples of the curve.
    """

    points: int
    note: str = ""
    autocorrelation: float = 0.0
    change_points: list[ChangePoint] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    knee: Knee | None = None
    x: Array = field(default_factory=lambda: np.empty(0))
    fitted: Array = field(default_factory=lambda: np.empty(0))
    draws: Array = field(default_factory=lambda: np.empty((0, 0)))


def analyse(x: Array, y: Array, seed: int = 0) -> CurvePhases:
    """Fit a continuous piecewise-linear curve with as many change points as the noise allows to tell.

    Change points are added where they lower the residual sum of squares most, one at a time; at first two together
    where one alone says nothing, as in a curve of the shape of an S. Each addition is tested against a bootstrap of
    the curve without it, with noise that is autocorrelated as the curve's own is estimated to be (sup-F test, Andrews
    1993, with an AR(1) sieve bootstrap, Buehlmann 1997), at the level `ALPHA`, or `ALPHA_OF_A_PAIR`. Those that fail
    the test beside all others are then taken out again. Intervals are percentiles of `RESAMPLES` refits to the fit
    plus such noise, each knot moved while the others stay. A knee is a peak of the fit whose rise before and fall
    after are both above zero in 97.5 % of the refits and at least `MINIMUM_PROMINENCE` of the fit's range. How often
    noise passes for one grows with its autocorrelation: see `measure_false_alarms`.

    Args:
        x: (n,) positions in rising order, usually steps.
        y: (n,) values; those that are not finite are left out.
        seed: of the resampling.
    """
    finite = np.isfinite(y) & np.isfinite(x)
    x, y = _thinned(x[finite].astype(float), y[finite].astype(float))
    n = len(x)
    if n < MINIMUM_POINTS:
        return CurvePhases(n, f"too few points: {n}, at least {MINIMUM_POINTS} are needed")
    scale, span = np.ptp(y), np.ptp(x)
    if scale <= 1e-9 * np.abs(y).max() or span == 0:
        return CurvePhases(n, "constant")
    unit_x, unit_y = (x - x[0]) / span, (y - y.mean()) / scale
    rng = np.random.default_rng(seed)
    phi = autocorrelation(unit_x, unit_y)
    knots, p_values = _find_knots(unit_x, unit_y, phi, rng)
    columns = design(unit_x, knots)
    best = np.linalg.lstsq(columns, unit_y, rcond=None)[0]
    fitted = columns @ best
    resampled = fitted[:, None] + noise(phi, _deviation(unit_x, unit_y - fitted, knots, phi), (n, RESAMPLES), rng)
    moved = _moved_knots(unit_x, resampled, knots)
    refits = coefficients(unit_x, resampled, moved)
    draws = np.einsum("bnp,bp->bn", design(unit_x, moved), refits)
    slopes, slope_draws = best[1:].cumsum() * scale / span, refits[:, 1:].cumsum(1) * scale / span
    ends = [x[0], *(x[0] + span * knots), x[-1]]
    curve, curves = y.mean() + scale * fitted, y.mean() + scale * draws
    return CurvePhases(
        points=n,
        autocorrelation=phi,
        change_points=[
            ChangePoint(_place(x, x[0] + span * knot, x[0] + span * moved[:, i]), p)
            for i, (knot, p) in enumerate(zip(knots, p_values, strict=True))
        ],
        segments=[
            _segment(start, end, Estimate.from_draws(slopes[i], slope_draws[:, i]))
            for i, (start, end) in enumerate(pairwise(ends))
        ],
        knee=_knee(x, curve, curves) if len(knots) else None,
        x=x,
        fitted=curve,
        draws=curves,
    )


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Means of neighbours, so many that at most `MAXIMUM_POINTS` are left."""
    if len(x) <= MAXIMUM_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), MAXIMUM_POINTS)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def _find_knots(x: Array, y: Array, phi: float, rng: np.random.Generator) -> tuple[Array, list[float]]:
    """Knots from left to right, and the p-value of each beside the others."""
    knots = np.empty(0)
    # A knot more costs two parameters, its place and its slope.
    while len(knots) < MAXIMUM_KNOTS and len(x) - 2 * len(knots) > 6:
        p_value, places = _test_more(x, y, knots, phi, rng, firsts=None)
        if p_value > ALPHA and not len(knots):
            p_value, places = _test_more(x, y, knots, phi, rng, firsts=_candidates(x, knots))
            p_value *= ALPHA / ALPHA_OF_A_PAIR
        if p_value > ALPHA:
            break
        knots = _settled(x, y, np.sort(np.append(knots, places)))
    # The first ones may have stood in for later ones, and be of no use beside them.
    while len(knots):
        p_values = [_test_more(x, y, np.delete(knots, i), phi, rng, firsts=None)[0] for i in range(len(knots))]
        if max(p_values) <= ALPHA:
            return knots, p_values
        knots = _settled(x, y, np.delete(knots, int(np.argmax(p_values))))
    return knots, []


def _test_more(
    x: Array, y: Array, knots: Array, phi: float, rng: np.random.Generator, firsts: Array | None
) -> tuple[float, list[float]]:
    """The p-value of the best further knot, or of the best two, the first one among `firsts`; and their places."""
    columns = design(x, knots)
    residual = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    if residual @ residual < 1e-12 * (y @ y):
        return 1.0, []
    drawn = noise(phi, 1.0, (len(x), RESAMPLES), rng)
    left = np.concatenate([residual[:, None], drawn - columns @ (np.linalg.pinv(columns) @ drawn)], axis=1)
    best, places = np.zeros(left.shape[1]), np.empty(0)
    for first in [np.nan] if firsts is None else firsts[:: -(-len(firsts) // PAIRS)]:
        ahead = np.array([] if firsts is None else [first])
        base = gains(x, left, knots, ahead).sum(0)
        placed = np.sort(np.append(knots, ahead))
        candidates = _candidates(x, placed)
        if len(candidates):
            gain = base + gains(x, left, placed, candidates)
            if gain[:, 0].max() > best[0]:
                places = np.append(ahead, candidates[gain[:, 0].argmax()])
            best = np.maximum(best, gain.max(0))
    if not len(places):
        return 1.0, []
    statistic = _statistic(best, (left**2).sum(0))
    return float((1 + (statistic[1:] >= statistic[0]).sum()) / (RESAMPLES + 1)), list(places)


def _settled(x: Array, y: Array, knots: Array) -> Array:
    """Knots after each has moved to its best place a few times."""
    for _ in range(3):
        knots = _moved_knots(x, y[:, None], knots)[0]
    return knots


def _statistic(gain: Array, before: Array) -> Array:
    """The share of the residual sum of squares that a knot takes away, as an F ratio up to a constant."""
    return gain / np.maximum(before - gain, 1e-300)


def _candidates(x: Array, knots: Array) -> Array:
    """Where a knot may be: on the points, a few of them away from the ends and from other knots."""
    apart = max(3, len(x) // 20)
    taken = np.searchsorted(x, knots)
    inner = np.arange(apart - 1, len(x) - apart + 1)
    return x[[i for i in inner if all(abs(i - j) >= apart for j in taken)]]


def _moved_knots(x: Array, values: Array, knots: Array) -> Array:
    """For each curve the best place of each knot while the others stay: (n, b) values and (k,) knots to (b, k)."""
    moved = np.empty((values.shape[1], len(knots)))
    for i in range(len(knots)):
        others = np.delete(knots, i)
        candidates = _candidates(x, others)
        low, high = np.append(knots[:i], -np.inf).max(), np.append(knots[i + 1 :], np.inf).min()
        candidates = candidates[(candidates > low) & (candidates < high)]
        moved[:, i] = candidates[gains(x, values, others, candidates).argmax(0)]
    return moved


def _deviation(x: Array, residual: Array, knots: Array, phi: float) -> float:
    """Standard deviation of the noise: what the fit leaves, over the share of such noise that it is expected to leave.

    The fit has bent towards the noise with its straight lines, and with the places of its knots (the steps here).
    """
    columns = np.concatenate([design(x, knots), x[:, None] > knots], axis=1)
    left = np.eye(len(x)) - columns @ np.linalg.pinv(columns)
    correlation = phi ** np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
    expected = np.trace(left @ correlation)
    return float(np.sqrt(residual @ residual / expected))


def _place(x: Array, at: float, draws: Array) -> Estimate:
    """An estimate on x; its interval is wider by half the way to the next points, between which nothing is known."""
    half = 0.5 * np.interp(at, (x[1:] + x[:-1]) / 2, np.diff(x))
    inner = Estimate.from_draws(at, draws)
    return Estimate(inner.value, max(float(x[0]), inner.low - half), min(float(x[-1]), inner.high + half))


def _segment(start: float, end: float, slope: Estimate) -> Segment:
    """`rises` or `falls` where the interval of the slope says so; `level or uncertain` where it holds 0."""
    trend = "rises" if slope.low > 0 else "falls" if slope.high < 0 else "level or uncertain"
    return Segment(float(start), float(end), slope, trend)


def _knee(x: Array, fitted: Array, draws: Array) -> Knee | None:
    """The most prominent peak of the fit, if it is one in nearly all draws too."""
    (peak,), (rise,), (fall,) = _prominence(fitted[None])
    peaks, rises, falls = _prominence(draws)
    knee = Knee(_place(x, x[peak], x[peaks]), Estimate.from_draws(rise, rises), Estimate.from_draws(fall, falls))
    stands_out = min(rise, fall) >= MINIMUM_PROMINENCE * np.ptp(fitted)
    return knee if stands_out and knee.rise.low > 0 and knee.fall.low > 0 else None


def _prominence(curves: Array) -> tuple[NDArray[np.intp], Array, Array]:
    """Of each curve (b, n) the point that stands highest above both sides, and its rise and fall."""
    rises = curves - np.minimum.accumulate(curves, axis=1)
    falls = curves - np.minimum.accumulate(curves[:, ::-1], axis=1)[:, ::-1]
    peaks = np.minimum(rises, falls).argmax(1)
    rows = np.arange(len(curves))
    return peaks, rises[rows, peaks], falls[rows, peaks]
