"""The phases of every curve of every run, the order of layers, and what knees tell across runs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...callbacks.phases.across_runs import Relation, relate
from ...callbacks.phases.curve import CurvePhases, Estimate, analyse
from ...callbacks.phases.false_alarms import FalseAlarms, measure_false_alarms
from ...callbacks.phases.layer_order import LayerOrder, order_layers
from ...trainers.runs.charts import CHARTS, RANKED
from ...trainers.runs.reader import RunData
from .dynamics import ALL_MODULES, Kind, curves, kinds

# Logged metrics whose phases are analysed: those of the paper's Figure 6, and the head's.
METRICS = ("next_token_loss", "eval_perplexity", "query_accuracy", "support_accuracy", "head_weight_std")
# Pure noise analysed to say how often the analysis is wrong.
NOISE_CURVES = 100


@dataclass(frozen=True)
class AnalysedCurve:
    """A curve of a run, what it is called, and its phases."""

    run: str
    quantity: str
    objective: str
    module: str
    layer: int
    name: str
    data: pd.DataFrame
    phases: CurvePhases


def analyse_run(run: RunData) -> list[AnalysedCurve]:
    """The phases of a run's curves over its steps."""
    found = []
    titles = {series.metric: chart.title for chart in CHARTS for series in chart.series}
    for metric in METRICS:
        data = run.curve(metric)
        if len(data):
            name = f"{titles[metric]}, training" if metric == "next_token_loss" else titles[metric]
            found.append(AnalysedCurve(run.label, metric, "", "", -1, name, data, _phases(data)))
    for kind in kinds([run]):
        if kind.entry.phases:
            for (module, layer), data in sorted(curves(run, kind).items()):
                part = f"{module or 'all heads'}, {'mean over layers' if layer < 0 else f'layer {layer}'}"
                name = f"{kind.title}, {part}"
                found.append(AnalysedCurve(run.label, *kind, module, layer, name, data, _phases(data)))
    return found


def _phases(data: pd.DataFrame) -> CurvePhases:
    return analyse(data["step"].to_numpy(float), data["value"].to_numpy(float))


def phase_table(analysed: list[AnalysedCurve]) -> pd.DataFrame:
    """A row a curve: its change points, where it rises and falls, and its knee, with 95 % intervals, over steps."""
    rows = []
    for curve in analysed:
        phases = curve.phases
        rows.append(
            {
                "run": curve.run,
                "curve": curve.name,
                "points": phases.points,
                "course": phases.note or ", then ".join(segment.trend for segment in phases.segments),
                "change points": "; ".join(
                    f"{spell(point.at)}, p = {point.p_value:.3f}" for point in phases.change_points
                )
                or ("" if phases.note else "none found"),
                "knee": spell(phases.knee.at) if phases.knee else "no knee found" if not phases.note else "",
            }
        )
    return pd.DataFrame(rows, columns=["run", "curve", "points", "course", "change points", "knee"])


def spell(estimate: Estimate) -> str:
    """A step with its interval."""
    return f"{estimate.value:,.0f} [{estimate.low:,.0f}, {estimate.high:,.0f}]"


def layer_orders(analysed: list[AnalysedCurve]) -> dict[tuple[str, Kind, str], LayerOrder]:
    """By run, quantity and module: the order in which the layers' effective rank falls."""
    groups: dict[tuple[str, Kind, str], dict[int, CurvePhases]] = {}
    for curve in analysed:
        if curve.quantity == RANKED and curve.layer >= 0:
            name = (curve.run, Kind(curve.quantity, curve.objective), curve.module)
            groups.setdefault(name, {})[curve.layer] = curve.phases
    return {name: order_layers(layers) for name, layers in groups.items()}


def layer_table(orders: dict[tuple[str, Kind, str], LayerOrder]) -> pd.DataFrame:
    """A row a layer whose effective rank falls, first to specialise first."""
    rows = [
        {
            "run": run,
            "curve": kind.title,
            "module": module,
            "layer": times.layer,
            "specialises": spell(times.specialises),
            "first in": f"{times.first:.0%}",
            "reconverges": spell(times.reconverges) if times.reconverges else "not by the end",
            "last in": f"{times.last:.0%}",
        }
        for (run, kind, module), order in orders.items()
        for times in order.layers
    ]
    columns = ["run", "curve", "module", "layer", "specialises", "first in", "reconverges", "last in"]
    return pd.DataFrame(rows, columns=columns)


def run_values(run: RunData, analysed: list[AnalysedCurve], f1: dict[str, float]) -> dict[str, Any]:
    """What is compared across runs: knees of the mean effective rank, query accuracy, and F1."""
    adapted = run.results.get("adaptation") or {}
    trained = adapted.get("trained")
    values: dict[str, Any] = {
        "run": run.label,
        "query accuracy, held-out words": trained[-1]["mean"] if trained else np.nan,
        "downstream F1": f1.get(run.label, np.nan),
    }
    for curve in analysed:
        if curve.run == run.label and curve.quantity == RANKED and curve.module == ALL_MODULES:
            knee = curve.phases.knee
            values[f"knee: {curve.name}"] = knee.at.value if knee else np.nan
    return values


def relations(values: pd.DataFrame) -> dict[tuple[str, str], Relation]:
    """How each knee relates to query accuracy and F1 across runs."""
    knees = [name for name in values if name.startswith("knee: ")]
    outcomes = ("query accuracy, held-out words", "downstream F1")
    return {
        (knee.removeprefix("knee: "), outcome): relate(values[knee].to_numpy(float), values[outcome].to_numpy(float))
        for knee in knees
        for outcome in outcomes
    }


def relation_table(found: dict[tuple[str, str], Relation]) -> pd.DataFrame:
    """A row a knee and outcome."""
    rows = [
        {
            "knee of": knee,
            "against": outcome,
            "runs": relation.runs,
            "rank correlation": relation.note
            if relation.correlation is None
            else "{:.2f} [{:.2f}, {:.2f}]".format(*vars(relation.correlation).values()),
            "p": "" if relation.p_value is None else f"{relation.p_value:.3f}",
        }
        for (knee, outcome), relation in found.items()
    ]
    return pd.DataFrame(rows, columns=["knee of", "against", "runs", "rank correlation", "p"])


def false_alarms(analysed: list[AnalysedCurve]) -> FalseAlarms | None:
    """Measured on noise with the median number of points and the median autocorrelation; None without any analysis."""
    done = sorted((curve.phases for curve in analysed if not curve.phases.note), key=lambda phases: phases.points)
    if not done:
        return None
    typical = done[len(done) // 2]
    phi = float(np.median([phases.autocorrelation for phases in done]))
    return measure_false_alarms(typical.x, phi, NOISE_CURVES)
