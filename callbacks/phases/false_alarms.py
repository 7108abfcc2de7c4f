"""The rate of false alarms: how often `analyse` finds phases in noise that resembles the curves at hand."""

from dataclasses import dataclass

import numpy as np

from .curve import analyse
from .piecewise import Array, noise


@dataclass(frozen=True)
class FalseAlarms:
    """How many of `curves` simulated AR(1) noise curves have a change point, and how many a knee."""

    curves: int
    points: int
    autocorrelation: float
    change_points: int
    knees: int


def measure_false_alarms(x: Array, autocorrelation: float, curves: int = 200, seed: int = 0) -> FalseAlarms:
    """Analyse noise around a flat line at the positions `x` (n,)."""
    values = noise(autocorrelation, 1.0, (len(x), curves), np.random.default_rng(seed))
    phases = [analyse(x, values[:, i], seed=i) for i in range(curves)]
    change_points = sum(bool(each.change_points) for each in phases)
    return FalseAlarms(curves, len(x), autocorrelation, change_points, sum(each.knee is not None for each in phases))
