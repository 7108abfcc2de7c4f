"""Peaks, dips and steps of a curve without noise."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from .piecewise import Array
from .smooth import EARLY

# A turn moves by at least this share of the curve's range before and after.
MINIMUM_PROMINENCE = 0.05
# A step moves by at least this share of the curve's range within a tenth of the run, half of it not smoothly.
MINIMUM_STEP = 0.2
STEP_WINDOW = 0.1
# A step of a refit is looked for so near.
NEAR = 0.15


@dataclass(frozen=True)
class Turn:
    """A peak, a dip or a step of a curve.

    Attributes:
        at: its place in [0, 1].
        sign: 1 for a peak or a falling step, -1 for a dip or a rising one.
        sizes: (2,) how far the curve moves before and after; of a step, its size twice.
        window: indices of the turns or ends on both sides.
    """

    kind: str
    at: float
    sign: int
    sizes: Array
    window: tuple[int, int]


def turns(t: Array, curve: Array, departed: Array) -> list[Turn]:
    """The peaks and dips of a curve (n,) at times `t` in [0, 1], from left to right; without any, its steepest step.

    A step of a curve that also turns is not told apart from the turn. `departed` (n,) is the part of the curve that is
    not smooth and monotone: a step is in both.
    """
    least = MINIMUM_PROMINENCE * np.ptp(curve)
    found = [(int(i), sign) for sign in (1, -1) for i in find_peaks(sign * curve, prominence=(least, None))[0]]
    found.sort()
    ends = [0, *(i for i, _ in found), len(t) - 1]
    listed = []
    for place, (i, sign) in enumerate(found):
        window = (ends[place], ends[place + 2])
        turn = Turn("peak" if sign > 0 else "dip", float(t[i]), sign, np.empty(2), window)
        listed.append(Turn(turn.kind, turn.at, sign, measure(turn, t, curve[None])[1:, 0], window))
    return listed or _step(t, curve, departed)


def measure(turn: Turn, t: Array, curves: Array) -> Array:
    """Where curves (b, n) have a given turn, and how far they move before and after: (3, b)."""
    rows = np.arange(len(curves))
    if turn.kind == "step":
        starts, differences = _differences(t)
        near = np.abs(starts + STEP_WINDOW / 2 - turn.at) <= NEAR
        sizes = -turn.sign * (curves @ differences)[:, near]
        best = sizes.argmax(1)
        return np.array([starts[near][best] + STEP_WINDOW / 2, sizes[rows, best], sizes[rows, best]])
    first, last = turn.window
    part = turn.sign * curves[:, first : last + 1]
    best = part.argmax(1)
    before = part - np.minimum.accumulate(part, axis=1)
    after = part - np.minimum.accumulate(part[:, ::-1], axis=1)[:, ::-1]
    return np.array([t[first + best], before[rows, best], after[rows, best]])


def _step(t: Array, curve: Array, departed: Array) -> list[Turn]:
    starts, differences = _differences(t)
    whole, part = curve @ differences, departed @ differences
    sizes = np.where((whole * part > 0) & (np.abs(part) >= 0.5 * np.abs(whole)), np.abs(whole), 0.0)
    steepest = int(sizes.argmax())
    if sizes[steepest] < MINIMUM_STEP * np.ptp(curve):
        return []
    sign = -1 if whole[steepest] > 0 else 1
    return [
        Turn("step", float(starts[steepest]) + STEP_WINDOW / 2, sign, np.full(2, sizes[steepest]), (0, len(t) - 1))
    ]


def _differences(t: Array) -> tuple[Array, Array]:
    """Starts of windows (k,), and (n, k): curves times the latter are how far they move within each window."""
    starts = np.linspace(EARLY, 1 - STEP_WINDOW, 81)
    ends, begins = (
        np.array([np.interp(at, t, row) for row in np.eye(len(t))]) for at in (starts + STEP_WINDOW, starts)
    )
    return starts, ends - begins
