"""The JSON that page.js draws: numbers, and names that it shows as text."""

from typing import Any

import numpy as np
import pandas as pd

from ....trainers.runs.charts import CHARTS, Chart, chance_level
from ....trainers.runs.reader import AXES, RunData
from ..analysis.phases import AnalysedCurve
from ..dynamics import curves, kinds
from ..formats import interval
from ..palette import DARK, LIGHT

# More points than a screen has columns only slow the page down.
MAXIMUM_POINTS = 1500


def page_data(runs: list[RunData], analysed: list[AnalysedCurve]) -> dict[str, Any]:
    """Everything that page.js reads."""
    places = {run.label: i for i, run in enumerate(runs)}
    return {
        "runs": [{"label": run.label, "axes": run_axes(run)} for run in runs],
        "colours": {"light": LIGHT, "dark": DARK},
        "axes": AXES | {"seconds": "seconds of training"},
        "charts": [chart_data(chart, runs) for chart in CHARTS if chart.has_data(runs)],
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
        "phases": [phase_data(curve, places[curve.run]) for curve in analysed],
    }


def run_axes(run: RunData) -> dict[str, list[float | None]]:
    """A run's steps, and the other units at each of them."""
    known = run.metrics[list(AXES)].drop_duplicates("step").dropna(subset=["tokens"])
    return {axis: numbers(known[axis].iloc[thin(len(known))]) for axis in AXES}


def chart_data(chart: Chart, runs: list[RunData]) -> dict[str, Any]:
    """A chart of the catalogue with the lines of all runs."""
    levels = {level for run in runs if (level := chance_level(run)) is not None}
    return {
        "key": chart.key,
        "names": len(chart.lines),
        "percent": chart.percent,
        "log": chart.log,
        "chance": sorted(levels) if chart.chance else [],
        "series": [
            {"run": i, "name": series.name, "dash": series.dash, **points(curve)}
            for i, run in enumerate(runs)
            for series in chart.lines
            if len(curve := run.curve(series.metric))
        ],
    }


def points(curve: pd.DataFrame) -> dict[str, list[float | None]]:
    """A curve's steps and values, thinned."""
    rows = curve.iloc[thin(len(curve))]
    return {"step": numbers(rows["step"]), "y": numbers(rows["value"])}


def phase_data(curve: AnalysedCurve, run: int) -> dict[str, Any]:
    """A curve with its fit."""
    phases = curve.phases
    low, high = np.quantile(phases.draws, (0.025, 0.975), axis=0) if len(phases.x) else ([], [])
    return {
        "run": run,
        "name": f"{curve.run}: {curve.name}",
        **points(curve.data),
        "x": numbers(phases.x),
        "fitted": numbers(phases.fitted),
        "low": numbers(low),
        "high": numbers(high),
        "changePoints": [[point.at.value, point.at.low, point.at.high] for point in phases.change_points],
        "text": describe(curve),
    }


def describe(curve: AnalysedCurve) -> str:
    """The phases of one curve in a sentence."""
    phases = curve.phases
    if phases.note:
        return f"{curve.run}, {curve.name}: not analysed, {phases.note}."
    parts = [f"{part.trend} from step {part.start:,.0f} to {part.end:,.0f}" for part in phases.segments]
    knee = f"Knee at step {interval(phases.knee.at)}." if phases.knee else "No knee found."
    return f"{curve.run}, {curve.name} ({phases.points} points): {', then '.join(parts)}. {knee}"


def thin(count: int) -> np.ndarray:
    """Indices of at most `MAXIMUM_POINTS` of so many points, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, MAXIMUM_POINTS)).round().astype(int))


def numbers(values: Any) -> list[float | None]:
    """Numbers for JSON, rounded to seven digits; None for NaN and infinity."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in np.asarray(values, float)]
