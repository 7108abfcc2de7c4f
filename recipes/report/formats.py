"""Numbers for people."""

from typing import Any

import numpy as np


def number(value: Any, style: str = "") -> str:
    """A number in the given style, by default whole numbers with commas and others in four digits; text as it is."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return "n/a" if value is None else str(value)
    if isinstance(value, np.floating | float) and not np.isfinite(value):
        return "n/a"
    if style:
        return format(value, style)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def short(value: float) -> str:
    """Three digits and a unit: 1.22 M; from 10^15 on as a power."""
    if not np.isfinite(value):
        return "n/a"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def span(low: float, high: float) -> str:
    """An interval of shares."""
    return f"{low:.1%} to {high:.1%}"


def join(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
