"""Where one curve rises and falls, with change points and a knee."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .piecewise import Array, autocorrelation, coefficients, design, gains, noise

# Shorter curves are not analysed.
MINIMUM_POINTS = 10
# Longer curves are averaged over neighbours to this many points.
MAXIMUM_POINTS = 100
MAXIMUM_KNOTS = 4
# A knee rises before and falls after by at least this share of the fit's range.
MINIMUM_PROMINENCE = 0.05
ALPHA = 0.05
ALPHA_OF_A_PAIR = 0.01
RESAMPLES = 199
# Places at which the first of two knots is tried.
PAIRS = 6


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, value: float, draws: Array) -> "Estimate":
        """The percentiles of bootstrap draws, widened to hold the value."""
        low, high = np.quantile(draws, (0.025, 0.975))
        return cls(float(value), float(min(low, value)), float(max(high, value)))


@dataclass(frozen=True)
class ChangePoint:
    """A position at which the slope changes, and the p-value of the test for it beside all other change points."""

    at: Estimate
    p_value: float


@dataclass(frozen=True)
class Segment:
    """A straight piece of the fit from `start` to `end`; `slope` is the change of y for one unit of x."""

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
        x, fitted: (n,) the piecewise-linear fit.
        draws: (RESAMPLES, n) fits to bootstrap samples of the curve.
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
    """Fit a continuous piecewise-linear curve with as many change points as a test finds in it.

    Change points are added one at a time where they lower the residual sum of squares most; the first two together
    when a single one is not significant, as on an S-shaped curve. Each is tested against a bootstrap of the curve
    without it (sup-F test, Andrews 1993) with noise of the curve's own autocorrelation (AR(1) sieve bootstrap,
    Buehlmann 1997), at the level `ALPHA`, or `ALPHA_OF_A_PAIR` for two. Change points that fail the test beside all
    others are then removed. Intervals are percentiles of `RESAMPLES` refits to the fit plus such noise, in which each
    knot moves while the others stay. A knee is a peak of the fit whose rise before and fall after are above zero in
    97.5 % of the refits and at least `MINIMUM_PROMINENCE` of the fit's range. False alarms grow with the
    autocorrelation of the noise: see `measure_false_alarms`.

    Args:
        x: (n,) positions in rising order, usually steps.
        y: (n,) values; NaN and infinity do not count.
        seed: for the resampling.
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
    slopes = map(Estimate.from_draws, best[1:].cumsum() * scale / span, refits[:, 1:].cumsum(1).T * scale / span)
    at, at_draws = x[0] + span * knots, x[0] + span * moved
    places = [_place(x, *position) for position in zip(at, at_draws.T, strict=True)]
    ends = pairwise([float(x[0]), *at.tolist(), float(x[-1])])
    curve, curves = y.mean() + scale * fitted, y.mean() + scale * draws
    return CurvePhases(
        points=n,
        autocorrelation=phi,
        change_points=list(map(ChangePoint, places, p_values)),
        segments=[Segment(*end, slope) for end, slope in zip(ends, slopes, strict=True)],
        knee=_knee(x, curve, curves) if len(knots) else None,
        x=x,
        fitted=curve,
        draws=curves,
    )


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Average neighbours to at most `MAXIMUM_POINTS` points."""
    if len(x) <= MAXIMUM_POINTS:
        return x, y
    x, y = (np.array([part.mean() for part in np.array_split(values, MAXIMUM_POINTS)]) for values in (x, y))
    return x, y


def _find_knots(x: Array, y: Array, phi: float, rng: np.random.Generator) -> tuple[Array, list[float]]:
    """Knots from left to right, and the p-value of each beside all others."""
    knots = np.empty(0)
    # Each knot costs two parameters, its position and its slope.
    while len(knots) < MAXIMUM_KNOTS and len(x) - 2 * len(knots) > 6:
        p_value, places = _test_more(x, y, knots, phi, rng, firsts=None)
        if p_value > ALPHA and not len(knots):
            p_value, places = _test_more(x, y, knots, phi, rng, firsts=_candidates(x, knots))
            p_value *= ALPHA / ALPHA_OF_A_PAIR
        if p_value > ALPHA:
            break
        knots = _settled(x, y, np.sort(np.append(knots, places)))
    # Early knots may have become superfluous beside later ones.
    while len(knots):
        p_values = [_test_more(x, y, np.delete(knots, i), phi, rng, firsts=None)[0] for i in range(len(knots))]
        if max(p_values) <= ALPHA:
            return knots, p_values
        knots = _settled(x, y, np.delete(knots, int(np.argmax(p_values))))
    return knots, []


def _test_more(
    x: Array, y: Array, knots: Array, phi: float, rng: np.random.Generator, firsts: Array | None
) -> tuple[float, list[float]]:
    """The p-value and the positions of the best further knot, or of the best two with the first among `firsts`."""
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
    # The share of the residual sum of squares that the knots remove, as an F ratio up to a constant.
    statistic = best / np.maximum((left**2).sum(0) - best, 1e-300)
    return float((1 + (statistic[1:] >= statistic[0]).sum()) / (RESAMPLES + 1)), list(places)


def _settled(x: Array, y: Array, knots: Array) -> Array:
    """Move each knot to its best position, three times over."""
    for _ in range(3):
        knots = _moved_knots(x, y[:, None], knots)[0]
    return knots


def _candidates(x: Array, knots: Array) -> Array:
    """Possible positions of a knot: on the points, a few points away from the ends and from other knots."""
    apart = max(3, len(x) // 20)
    taken = np.searchsorted(x, knots)
    inner = np.arange(apart - 1, len(x) - apart + 1)
    return x[[i for i in inner if all(abs(i - j) >= apart for j in taken)]]


def _moved_knots(x: Array, values: Array, knots: Array) -> Array:
    """The best position of each knot while the others stay: (n, b) curves and (k,) knots to (b, k)."""
    moved = np.empty((values.shape[1], len(knots)))
    for i in range(len(knots)):
        others = np.delete(knots, i)
        candidates = _candidates(x, others)
        low, high = np.append(knots[:i], -np.inf).max(), np.append(knots[i + 1 :], np.inf).min()
        candidates = candidates[(candidates > low) & (candidates < high)]
        moved[:, i] = candidates[gains(x, values, others, candidates).argmax(0)]
    return moved


def _deviation(x: Array, residual: Array, knots: Array, phi: float) -> float:
    """Standard deviation of the noise: the residual over the share of noise that such a fit leaves on average."""
    # The fit follows the noise with its lines and with the positions of its knots (the steps here).
    columns = np.concatenate([design(x, knots), x[:, None] > knots], axis=1)
    left = np.eye(len(x)) - columns @ np.linalg.pinv(columns)
    correlation = phi ** np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
    expected = np.trace(left @ correlation)
    return float(np.sqrt(residual @ residual / expected))


def _place(x: Array, at: float, draws: Array) -> Estimate:
    """An estimate of a position; its interval is wider by half the distance between points, its resolution."""
    half = 0.5 * np.interp(at, (x[1:] + x[:-1]) / 2, np.diff(x))
    inner = Estimate.from_draws(at, draws)
    return Estimate(inner.value, max(float(x[0]), inner.low - half), min(float(x[-1]), inner.high + half))


def _knee(x: Array, fitted: Array, draws: Array) -> Knee | None:
    """The most prominent peak of the fit when it is a peak in 97.5 % of the draws too."""
    (peak,), (rise,), (fall,) = _prominence(fitted[None])
    peaks, rises, falls = _prominence(draws)
    knee = Knee(_place(x, x[peak], x[peaks]), Estimate.from_draws(rise, rises), Estimate.from_draws(fall, falls))
    stands_out = min(rise, fall) >= MINIMUM_PROMINENCE * np.ptp(fitted)
    return knee if stands_out and knee.rise.low > 0 and knee.fall.low > 0 else None


def _prominence(curves: Array) -> tuple[NDArray[np.intp], Array, Array]:
    """The point of each curve (b, n) that is highest above both sides, and its rise and fall."""
    rises = curves - np.minimum.accumulate(curves, axis=1)
    falls = curves - np.minimum.accumulate(curves[:, ::-1], axis=1)[:, ::-1]
    peaks = np.minimum(rises, falls).argmax(1)
    rows = np.arange(len(curves))
    return peaks, rises[rows, peaks], falls[rows, peaks]
