"""The rate of false alarms: how often `analyse` finds phases in smooth curves with noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .curve import CurvePhases, analyse
from .departure_test import ALPHA
from .piecewise import Array, noise

Shape = Callable[[Array], Array]
# Shares of the range of a curve.
DEVIATIONS = (0.01, 0.05)


@dataclass(frozen=True)
class FalseAlarms:
    """How many of `curves` simulated curves have a phase; `autocorrelation` is that of their noise."""

    curves: int
    points: int
    autocorrelation: float
    found: int


def warmup_and_cosine(t: Array, warmup: float = 0.1) -> Array:
    """A learning rate that rises linearly and then falls to 0 as a cosine: (n,) times in [0, 1] to (n,)."""
    return np.where(t < warmup, t / warmup, 0.5 + 0.5 * np.cos(np.pi * (t - warmup) / (1 - warmup)))


SMOOTH: dict[str, Shape] = {
    "level": np.zeros_like,
    "power law": lambda t: (1 + 50 * t) ** -0.5,
    "exponential": lambda t: np.exp(-6 * t),
    "logarithm": lambda t: np.log(1 + 50 * t),
    "cosine": lambda t: np.cos(np.pi * t),
    "learning rate": warmup_and_cosine,
}


def simulate(
    shape: Shape, points: int, autocorrelation: float, deviation: float, curves: int, seed: int = 0
) -> list[CurvePhases]:
    """The phases of a shape of range 1 in `curves` draws of AR(1) noise, with the learning rate given."""
    t = np.linspace(0, 1, points)
    values = noise(autocorrelation, deviation, (points, curves), np.random.default_rng(seed))
    curve = shape(t) / (np.ptp(shape(t)) or 1.0)
    return [analyse(t, curve + values[:, i], warmup_and_cosine(t), seed=i) for i in range(curves)]


def found(phases: CurvePhases) -> bool:
    """True when a curve has a phase that the learning rate does not explain."""
    return any(point.rate_p_value is None or point.rate_p_value <= ALPHA for point in phases.change_points)


def measure_false_alarms(points: int, autocorrelation: float, curves: int, seed: int = 0) -> FalseAlarms:
    """Analyse `curves` noisy draws of each shape in `SMOOTH`, half of them with each of the `DEVIATIONS`."""
    each = [
        found(phases)
        for shape in SMOOTH.values()
        for i, deviation in enumerate(DEVIATIONS)
        for phases in simulate(shape, points, autocorrelation, deviation, curves // len(DEVIATIONS), seed + i)
    ]
    return FalseAlarms(len(each), points, autocorrelation, sum(each))
