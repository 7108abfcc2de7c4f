"""Which layers specialise first and which reconverge last, with the uncertainty of the ranks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .curve import CurvePhases, Estimate
from .piecewise import Array

# A tenth of the way, as rise and settling times are usually given.
SHARE = 0.1


@dataclass(frozen=True)
class LayerTimes:
    """When a layer's curve begins to fall, and when it has arrived.

    Attributes:
        specialises: where the fitted curve has come down a tenth of its greatest fall.
        reconverges: from where on it stays within a tenth of its whole range of where it ends; None where that is in
            the last tenth of the curve, which a curve that just goes on reaches too.
        first, last: share of the resamplings in which it is the first to specialise, the last to reconverge; layers
            that tie share.
    """

    layer: int
    specialises: Estimate
    reconverges: Estimate | None
    first: float
    last: float


@dataclass(frozen=True)
class LayerOrder:
    """The layers whose curve falls, from the first to specialise to the last; and how many were looked at in all."""

    layers: list[LayerTimes]
    examined: int


def order_layers(phases: Mapping[int, CurvePhases]) -> LayerOrder:
    """Rank the layers of one module by when their effective rank falls.

    Only layers count whose curve falls in 97.5 % of its resamplings. Layers are resampled independently of each other.
    With fewer than two such layers there is nothing to rank, and the list is empty.

    Args:
        phases: what `analyse` found for the curve of each layer.
    """
    falling = {layer: found for layer, found in phases.items() if len(found.x) and _falls(found)}
    if len(falling) < 2:
        return LayerOrder([], len(phases))
    onsets = {layer: times_of(found, onset) for layer, found in falling.items()}
    ends = {layer: times_of(found, settling) for layer, found in falling.items()}
    first = _shares(np.array([draws for _, draws in onsets.values()]))
    last = _shares(-np.array([draws for _, draws in ends.values()]))
    layers = []
    for i, (layer, found) in enumerate(falling.items()):
        end = Estimate.from_draws(*ends[layer])
        still_moving = end.value > found.x[-1] - SHARE * np.ptp(found.x)
        start = Estimate.from_draws(*onsets[layer])
        layers.append(LayerTimes(layer, start, None if still_moving else end, float(first[i]), float(last[i])))
    return LayerOrder(sorted(layers, key=lambda times: (times.specialises.value, -times.first)), len(phases))


def onset(curve: Array) -> int:
    """Index at which a curve (n,) has come down a tenth of its greatest fall, after the peak before that fall."""
    falls = np.maximum.accumulate(curve) - curve
    trough = int(falls.argmax())
    peak = int(curve[: trough + 1].argmax())
    down = curve[peak] - curve[peak : trough + 1]
    return peak + int((down >= SHARE * falls[trough]).argmax())


def settling(curve: Array) -> int:
    """Index from which on a curve (n,) stays within a tenth of its range of its last value."""
    away = np.abs(curve - curve[-1]) > SHARE * np.ptp(curve)
    return int(np.flatnonzero(away).max()) + 1 if away.any() else 0


def times_of(found: CurvePhases, index: Callable[[Array], int]) -> tuple[float, Array]:
    """The position that `index` finds on the fit, and on each of its draws."""
    return float(found.x[index(found.fitted)]), found.x[[index(draw) for draw in found.draws]]


def _shares(times: Array) -> Array:
    """Of (layers, draws) times, the share of draws in which each layer has the smallest one; ties are divided."""
    smallest = times == times.min(0)
    return np.asarray((smallest / smallest.sum(0)).mean(1))


def _falls(found: CurvePhases) -> bool:
    """Whether the curve falls in 97.5 % of its draws."""
    falls = (np.maximum.accumulate(found.draws, axis=1) - found.draws).max(1)
    return bool(np.quantile(falls, 0.025) > 0)
