"""The JSON that page.js draws: numbers, and names that it shows as text."""

from typing import Any

import numpy as np
import pandas as pd

from ....callbacks.phases.curve import ChangePoint
from ....trainers.runs.charts import Chart, chance_level, charts_of
from ....trainers.runs.reader import AXES, RunData
from ..analysis.phases import AnalysedCurve
from ..dynamics import Kind, curves, kinds
from ..formats import interval
from ..palette import DARK, LIGHT
from .axes import axis_names

# More points than a screen has columns only slow the page down.
MAXIMUM_POINTS = 1500
# Of all curves together, which keeps the page below 10 MB, half of it the plotting library; a curve gets at least 50.
POINTS_OF_THE_PAGE = 120_000


def page_data(runs: list[RunData], analysed: list[AnalysedCurve]) -> dict[str, Any]:
    """Everything that page.js reads."""
    places = {run.label: i for i, run in enumerate(runs)}
    charts, quantities = charts_of(runs), kinds(runs)
    series = sum(len(chart.lines) for chart in charts) * len(runs) + len(analysed)
    series += sum(len(curves(run, kind)) for run in runs for kind in quantities)
    most = points_of_a_curve(series)
    return {
        "points": most,
        "runs": [{"label": run.label, "axes": _axes(run, most)} for run in runs],
        "colours": {"light": LIGHT, "dark": DARK},
        "axes": axis_names(runs),
        "charts": [_chart(chart, runs, most) for chart in charts],
        "dynamics": [_kind(kind, runs, most) for kind in quantities],
        "phases": [_phases(curve, places[curve.run], most) for curve in analysed],
    }


def points_of_a_curve(series: int) -> int:
    """Most points of each curve on a page with so many."""
    return max(50, min(MAXIMUM_POINTS, POINTS_OF_THE_PAGE // max(series, 1)))


def _axes(run: RunData, most: int) -> dict[str, list[float | None]]:
    known = run.metrics[list(AXES)].drop_duplicates("step").dropna(subset=["tokens"])
    return {axis: numbers(known[axis].iloc[thin(len(known), most)]) for axis in AXES}


def _chart(chart: Chart, runs: list[RunData], most: int) -> dict[str, Any]:
    levels = {level for run in runs if (level := chance_level(run)) is not None}
    return {
        "key": chart.key,
        "names": len(chart.lines),
        "percent": chart.percent,
        "log": chart.log,
        "chance": sorted(levels) if chart.chance else [],
        "series": [
            {"run": i, "name": series.name, "dash": series.dash, **_points(curve, most)}
            for i, run in enumerate(runs)
            for series in chart.lines
            if len(curve := run.curve(series.metric))
        ],
    }


def _kind(kind: Kind, runs: list[RunData], most: int) -> dict[str, Any]:
    return {
        "title": kind.title,
        "share": kind.entry.share,
        "chance": [] if kind.entry.chance is None else [kind.entry.chance],
        "series": [
            {"run": i, "module": module, "layer": layer, **_points(curve, most)}
            for i, run in enumerate(runs)
            for (module, layer), curve in sorted(curves(run, kind).items())
        ],
    }


def _points(curve: pd.DataFrame, most: int) -> dict[str, list[float | None]]:
    rows = curve.iloc[thin(len(curve), most)]
    points = {"step": numbers(rows["step"]), "y": numbers(rows["value"])}
    return points | ({"interval": numbers(1.96 * rows["error"])} if "error" in rows else {})


def _phases(curve: AnalysedCurve, run: int, most: int) -> dict[str, Any]:
    phases, rate = curve.phases, curve.data["rate"]
    low, high = np.quantile(phases.draws, (0.025, 0.975), axis=0) if len(phases.x) else ([], [])
    return {
        "run": run,
        "name": f"{curve.run}: {curve.name}",
        **_points(curve.data, most),
        "rate": numbers(rate.iloc[thin(len(rate), most)]) if rate.notna().any() else [],
        "x": numbers(phases.x),
        "fitted": numbers(phases.fitted),
        "low": numbers(low),
        "high": numbers(high),
        "changePoints": [[point.at.value, point.at.low, point.at.high] for point in phases.change_points],
        "text": _sentence(curve),
    }


def _sentence(curve: AnalysedCurve) -> str:
    phases = curve.phases
    if phases.note:
        return f"{curve.run}, {curve.name}: not analysed, {phases.note}."
    parts = [f"{part.trend} from step {part.start:,.0f} to {part.end:,.0f}" for part in phases.segments]
    places = [
        f"{point.kind.capitalize()} at step {interval(point.at)}, {point.before.value:.3g} before and "
        f"{point.after.value:.3g} after it, p = {point.p_value:.2g}{_beside_rate(point)}."
        for point in phases.change_points
    ]
    vanilla = {
        "": "",
        "none": " The vanilla run has no phase here.",
        "phases": " The vanilla run has phases too.",
    }
    found = " ".join(places) + vanilla[curve.vanilla] if places else "No phase found."
    return f"{curve.run}, {curve.name} ({phases.points} points): {', then '.join(parts)}. {found}"


def _beside_rate(point: ChangePoint) -> str:
    if point.rate_p_value is None:
        return "; the learning rate was not logged"
    return f"; beside the learning rate p = {point.rate_p_value:.2g}"


def thin(count: int, maximum: int) -> np.ndarray:
    """Indices of at most `maximum` of so many points, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, maximum)).round().astype(int))


def numbers(values: Any) -> list[float | None]:
    """Numbers for JSON, rounded to seven digits; None for NaN and infinity."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in np.asarray(values, float)]
