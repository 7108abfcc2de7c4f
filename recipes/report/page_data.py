"""The data that the page's charts draw, as JSON: numbers, and names as they are (the page shows them as text)."""

from typing import Any

import numpy as np
import pandas as pd

from ...trainers.runs.charts import CHARTS, chance_level
from ...trainers.runs.reader import AXES, RunData
from .dynamics import curves, kinds
from .palette import DARK, LIGHT
from .phase_tables import AnalysedCurve, spell

# More points than a screen has columns only make the page slow.
MAXIMUM_POINTS = 1500


def page_data(runs: list[RunData], analysed: list[AnalysedCurve]) -> dict[str, Any]:
    """Everything that page.js reads."""
    return {
        "runs": [{"label": run.label, "axes": run_axes(run)} for run in runs],
        "colours": {"light": LIGHT, "dark": DARK},
        "axes": AXES | {"seconds": "seconds of training"},
        "charts": [
            {
                "key": chart.key,
                "names": len(chart.series),
                "percent": chart.percent,
                "log": chart.log,
                "chance": sorted({chance_level(run) for run in runs} - {None}, key=float) if chart.chance else [],
                "series": [
                    {"run": i, "name": series.name, "dash": series.dash, **points(run.curve(series.metric))}
                    for i, run in enumerate(runs)
                    for series in chart.series
                    if len(run.curve(series.metric))
                ],
            }
            for chart in CHARTS
            if chart.has_data(runs)
        ],
        "dynamics": [
            {
                "title": kind.title,
                "series": [
                    {"run": i, "module": module, "layer": layer, **points(curve)}
                    for i, run in enumerate(runs)
                    for (module, layer), curve in sorted(curves(run, kind).items())
                ],
            }
            for kind in kinds(runs)
        ],
        "phases": [phase(curve, [run.label for run in runs].index(curve.run)) for curve in analysed],
    }


def run_axes(run: RunData) -> dict[str, list[float | None]]:
    """A run's steps and what they are in the other units."""
    known = run.metrics[list(AXES)].drop_duplicates("step").dropna(subset=["tokens"])
    return {axis: numbers(known[axis].iloc[kept(len(known))]) for axis in AXES}


def points(curve: pd.DataFrame) -> dict[str, list[float | None]]:
    """A curve's steps and values, thinned."""
    rows = curve.iloc[kept(len(curve))]
    return {"step": numbers(rows["step"]), "y": numbers(rows["value"])}


def phase(curve: AnalysedCurve, run: int) -> dict[str, Any]:
    """A curve with its fit."""
    found = curve.phases
    low, high = np.quantile(found.draws, (0.025, 0.975), axis=0) if len(found.x) else ([], [])
    return {
        "run": run,
        "name": f"{curve.run}: {curve.name}",
        **points(curve.data),
        "x": numbers(found.x),
        "fitted": numbers(found.fitted),
        "low": numbers(low),
        "high": numbers(high),
        "changePoints": [[point.at.value, point.at.low, point.at.high] for point in found.change_points],
        "said": said(curve),
    }


def said(curve: AnalysedCurve) -> str:
    """The phases of one curve in a sentence."""
    found = curve.phases
    if found.note:
        return f"{curve.run}, {curve.name}: nothing can be said, {found.note}."
    parts = [f"{part.trend} from step {part.start:,.0f} to {part.end:,.0f}" for part in found.segments]
    knee = f"Knee at step {spell(found.knee.at)}." if found.knee else "No knee found."
    return f"{curve.run}, {curve.name} ({found.points} points): {', then '.join(parts)}. {knee}"


def kept(count: int) -> np.ndarray:
    """Indices to keep of so many points, the ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MAXIMUM_POINTS)).round().astype(int))


def numbers(values: Any) -> list[float | None]:
    """Numbers for JSON, rounded to seven digits; None for what is none."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in np.asarray(values, float)]
