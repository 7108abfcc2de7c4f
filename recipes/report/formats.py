"""Numbers as the page and the tables print them."""

from typing import Any

import numpy as np

from ...callbacks.phases.curve import Estimate


def number(value: Any, style: str = "") -> str:
    """A number in the given style, by default whole numbers with commas and others in four digits; text unchanged."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return "n/a" if value is None else str(value)
    if isinstance(value, np.floating | float) and not np.isfinite(value):
        return "n/a"
    if style:
        return format(value, style)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def short(value: float) -> str:
    """Three digits and a unit, such as 1.22 M; from 10^15 on scientific notation."""
    if not np.isfinite(value):
        return "n/a"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def interval(estimate: Estimate, style: str = ",.0f") -> str:
    """An estimate with its interval, by default a step."""
    return f"{estimate.value:{style}} [{estimate.low:{style}}, {estimate.high:{style}}]"


def join(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(count: int, noun: str) -> str:
    """1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
