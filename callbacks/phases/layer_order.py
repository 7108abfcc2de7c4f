"""Which layers specialise first and which reconverge last, with the uncertainty of their ranks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .curve import CurvePhases, Estimate
from .piecewise import Array

# Rise and settling times are usually given for a tenth of the way.
SHARE = 0.1


@dataclass(frozen=True)
class LayerTimes:
    """When a layer's curve begins to fall, and when it settles.

    Attributes:
        specialises: position at which the fit has fallen by a tenth of its greatest fall.
        reconverges: position after which the fit stays within a tenth of its range of its last value; None when that
            is in the last tenth of the curve, as for a curve that is still falling.
        first, last: shares of the bootstrap samples in which the layer is the first to specialise and the last to
            reconverge; tied layers share.
    """

    layer: int
    specialises: Estimate
    reconverges: Estimate | None
    first: float
    last: float


@dataclass(frozen=True)
class LayerOrder:
    """The layers whose curve falls, the first to specialise first, and the number of layers examined."""

    layers: list[LayerTimes]
    examined: int


def order_layers(phases: Mapping[int, CurvePhases]) -> LayerOrder:
    """Rank the layers of one module, given the phases of each, by when their effective rank falls.

    Only layers whose curve falls in 97.5 % of its bootstrap samples count; with fewer than two of them the list is
    empty. Layers are resampled independently of each other.
    """
    falling = {layer: curve for layer, curve in phases.items() if len(curve.x) and _falls(curve)}
    if len(falling) < 2:
        return LayerOrder([], len(phases))
    starts, ends = ([_times(curve, index) for curve in falling.values()] for index in (onset, settling))
    first = _shares(np.array([draws for _, draws in starts]))
    last = _shares(-np.array([draws for _, draws in ends]))
    layers = []
    for i, (layer, curve) in enumerate(falling.items()):
        start, end = Estimate.from_draws(*starts[i]), Estimate.from_draws(*ends[i])
        still_moving = end.value > curve.x[-1] - SHARE * np.ptp(curve.x)
        layers.append(LayerTimes(layer, start, None if still_moving else end, float(first[i]), float(last[i])))
    return LayerOrder(sorted(layers, key=lambda times: (times.specialises.value, -times.first)), len(phases))


def onset(curve: Array) -> int:
    """Index at which a curve (n,) has fallen by a tenth of its greatest fall from the peak before it."""
    falls = np.maximum.accumulate(curve) - curve
    trough = int(falls.argmax())
    peak = int(curve[: trough + 1].argmax())
    down = curve[peak] - curve[peak : trough + 1]
    return peak + int((down >= SHARE * falls[trough]).argmax())


def settling(curve: Array) -> int:
    """Index from which a curve (n,) stays within a tenth of its range of its last value."""
    away = np.abs(curve - curve[-1]) > SHARE * np.ptp(curve)
    return int(np.flatnonzero(away).max()) + 1 if away.any() else 0


def _times(phases: CurvePhases, index: Callable[[Array], int]) -> tuple[float, Array]:
    """The position at an index of the fit, and of each bootstrap sample."""
    return float(phases.x[index(phases.fitted)]), phases.x[[index(draw) for draw in phases.draws]]


def _shares(times: Array) -> Array:
    """Share of draws in which each layer has the smallest time, of (layers, draws) times; ties are divided."""
    smallest = times == times.min(0)
    return np.asarray((smallest / smallest.sum(0)).mean(1))


def _falls(phases: CurvePhases) -> bool:
    falls = (np.maximum.accumulate(phases.draws, axis=1) - phases.draws).max(1)
    return bool(np.quantile(falls, 0.025) > 0)
