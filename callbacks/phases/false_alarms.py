"""How often the analysis finds something where there is nothing, measured on noise like that of the curves at hand."""

from dataclasses import dataclass

import numpy as np

from .curve import analyse
from .piecewise import Array, noise


@dataclass(frozen=True)
class FalseAlarms:
    """Of `curves` curves of pure AR(1) noise, with `autocorrelation` at lag 1 and `points` points, how many had a
    change point, and how many a knee.
    """

    curves: int
    points: int
    autocorrelation: float
    change_points: int
    knees: int


def measure_false_alarms(x: Array, autocorrelation: float, curves: int = 200, seed: int = 0) -> FalseAlarms:
    """Analyse noise around a flat line at the positions `x` (n,)."""
    drawn = noise(autocorrelation, 1.0, (len(x), curves), np.random.default_rng(seed))
    found = [analyse(x, drawn[:, i], seed=i) for i in range(curves)]
    return FalseAlarms(
        curves=curves,
        points=len(x),
        autocorrelation=autocorrelation,
        change_points=sum(bool(phases.change_points) for phases in found),
        knees=sum(phases.knee is not None for phases in found),
    )
