"""Phases of the runs' curves: callbacks/phases fits each curve that the catalogue marks."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ....callbacks.phases.curve import CurvePhases, analyse
from ....callbacks.phases.discoveries import discoveries
from ....callbacks.phases.false_alarms import FalseAlarms, measure_false_alarms
from ....callbacks.phases.layer_order import LayerOrder, order_layers
from ....trainers.runs.charts import CHARTS, RANKED
from ....trainers.runs.reader import RunData
from ..dynamics import ALL_MODULES, Kind, curves, kinds

# Smooth curves of each shape that are analysed to measure the rate of false alarms.
SIMULATED_CURVES = 20
LayerOrders = dict[tuple[str, Kind, str], LayerOrder]


@dataclass(frozen=True)
class AnalysedCurve:
    """A curve of a run and its phases; a logged metric has no module and layer -1.

    Attributes:
        data: columns `step`, `value` and `rate`, the learning rate (NaN when it was not logged).
        vanilla: of a run with episodes: `none` when the same curve of every vanilla run in the report has no phase,
            `phases` when one has, `` when there is no such curve.
    """

    run: str
    kind: Kind
    module: str
    layer: int
    name: str
    data: pd.DataFrame
    phases: CurvePhases
    vanilla: str = ""

    @property
    def of_model(self) -> bool:
        """True for a logged metric, and for the mean over all layers and modules."""
        return self.layer < 0 and self.module in ("", ALL_MODULES)


def analyse_runs(runs: list[RunData]) -> list[AnalysedCurve]:
    """The phases of all runs' curves over their steps, with the false discovery rate controlled over all of them."""
    analysed = [curve for run in runs for curve in _analyse_run(run)]
    vanilla = {run.label for run in runs if not run.last("episodes") > 0}
    # A vanilla curve has a phase already when it has one before that control, which makes the method's claim harder.
    beside: dict[str, list[bool]] = {}
    for curve in analysed:
        if curve.run in vanilla and not curve.phases.note:
            beside.setdefault(curve.name, []).append(bool(curve.phases.change_points))
    found = {name: "phases" if any(phases) else "none" for name, phases in beside.items()}
    counted = discoveries([curve.phases for curve in analysed])
    return [
        replace(curve, phases=phases, vanilla="" if curve.run in vanilla else found.get(curve.name, ""))
        for curve, phases in zip(analysed, counted, strict=True)
    ]


def _analyse_run(run: RunData) -> list[AnalysedCurve]:
    named = []
    for chart in CHARTS:
        series = chart.lines[0]
        data = run.curve(series.metric)
        if chart.phases and len(data):
            name = f"{chart.title}, {series.name}" if len(chart.lines) > 1 else chart.title
            named.append((Kind(series.metric, ""), "", -1, name, data))
    for kind in kinds([run]):
        for (module, layer), data in sorted(curves(run, kind).items()) if kind.entry.phases else ():
            part = f"{module or 'all heads'}, {'mean over layers' if layer < 0 else f'layer {layer}'}"
            named.append((kind, module, layer, f"{kind.title}, {part}", data))
    logged = run.curve("learning_rate")
    return [_analyse(run, logged, *each) for each in named]


def _analyse(
    run: RunData, logged: pd.DataFrame, kind: Kind, module: str, layer: int, name: str, data: pd.DataFrame
) -> AnalysedCurve:
    steps, values = data[["step", "value"]].to_numpy(float).T
    rate = np.interp(steps, logged["step"], logged["value"]) if len(logged) else None
    phases = analyse(steps, values, rate)
    return AnalysedCurve(
        run.label, kind, module, layer, name, data.assign(rate=np.nan if rate is None else rate), phases
    )


def layer_orders(analysed: list[AnalysedCurve]) -> LayerOrders:
    """The order in which the layers' effective rank falls, by run, kind and module."""
    groups: dict[tuple[str, Kind, str], dict[int, CurvePhases]] = {}
    for curve in analysed:
        if curve.kind.quantity == RANKED and curve.layer >= 0:
            groups.setdefault((curve.run, curve.kind, curve.module), {})[curve.layer] = curve.phases
    return {name: order_layers(layers) for name, layers in groups.items()}


def false_alarms(analysed: list[AnalysedCurve]) -> FalseAlarms | None:
    """Rate of false alarms in smooth curves with the length and the noise of the median curve; None without one."""
    phases = sorted((curve.phases for curve in analysed if not curve.phases.note), key=lambda each: each.points)
    if not phases:
        return None
    phi = float(np.median([each.autocorrelation for each in phases]))
    return measure_false_alarms(phases[len(phases) // 2].points, phi, SIMULATED_CURVES)
