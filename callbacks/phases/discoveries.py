"""Which phases of many curves count, when the share of false ones among them is to stay small."""

from dataclasses import replace

import numpy as np
from scipy.stats import false_discovery_control

from .curve import CurvePhases
from .departure_test import ALPHA


def discoveries(curves: list[CurvePhases]) -> list[CurvePhases]:
    """The curves with those phases only that count beside all others, each with its p-values adjusted for that.

    The false discovery rate is held at `ALPHA` (Benjamini and Hochberg 1995), among all phases and among those that
    the learning rate does not explain. An analysed curve without a phase counts as one with p-value 1. The method
    holds for curves that depend on each other positively, as those of the layers of a model do.
    """
    points = [point for curve in curves for point in curve.change_points]
    silent = [1.0 for curve in curves if not curve.note and not curve.change_points]
    if not points:
        return curves
    adjusted = false_discovery_control([point.p_value for point in points] + silent)
    known = [i for i, point in enumerate(points) if point.rate_p_value is not None]
    beside = false_discovery_control([points[i].rate_p_value for i in known] + silent) if known else np.empty(0)
    rates = dict(zip(known, beside[: len(known)].tolist(), strict=True))
    controlled = [
        replace(point, p_value=float(adjusted[i]), rate_p_value=rates.get(i)) for i, point in enumerate(points)
    ]
    ends = np.cumsum([len(curve.change_points) for curve in curves])
    starts = np.append(0, ends[:-1])
    return [
        replace(curve, change_points=[point for point in controlled[start:end] if point.p_value <= ALPHA])
        for curve, start, end in zip(curves, starts, ends, strict=True)
    ]
