"""Phases of the runs' curves: callbacks/phases fits each curve that the catalogue marks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ....callbacks.phases.curve import CurvePhases, analyse
from ....callbacks.phases.false_alarms import FalseAlarms, measure_false_alarms
from ....callbacks.phases.layer_order import LayerOrder, order_layers
from ....trainers.runs.charts import CHARTS, RANKED
from ....trainers.runs.reader import RunData
from ..dynamics import ALL_MODULES, Kind, curves, kinds

# Curves of pure noise that are analysed to measure the rate of false alarms.
NOISE_CURVES = 100
LayerOrders = dict[tuple[str, Kind, str], LayerOrder]


@dataclass(frozen=True)
class AnalysedCurve:
    """A curve of a run and its phases; a logged metric has no module and layer -1."""

    run: str
    kind: Kind
    module: str
    layer: int
    name: str
    data: pd.DataFrame
    phases: CurvePhases

    @property
    def of_model(self) -> bool:
        """True for a logged metric, and for the mean over all layers and modules."""
        return self.layer < 0 and self.module in ("", ALL_MODULES)


def analyse_run(run: RunData) -> list[AnalysedCurve]:
    """The phases of a run's curves over its steps."""
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
    return [AnalysedCurve(run.label, *each, analyse(*each[-1][["step", "value"]].to_numpy(float).T)) for each in named]


def layer_orders(analysed: list[AnalysedCurve]) -> LayerOrders:
    """The order in which the layers' effective rank falls, by run, kind and module."""
    groups: dict[tuple[str, Kind, str], dict[int, CurvePhases]] = {}
    for curve in analysed:
        if curve.kind.quantity == RANKED and curve.layer >= 0:
            groups.setdefault((curve.run, curve.kind, curve.module), {})[curve.layer] = curve.phases
    return {name: order_layers(layers) for name, layers in groups.items()}


def false_alarms(analysed: list[AnalysedCurve]) -> FalseAlarms | None:
    """Rate of false alarms on noise as long and as autocorrelated as the median curve; None without any curve."""
    phases = sorted((curve.phases for curve in analysed if not curve.phases.note), key=lambda each: each.points)
    if not phases:
        return None
    phi = float(np.median([each.autocorrelation for each in phases]))
    return measure_false_alarms(phases[len(phases) // 2].x, phi, NOISE_CURVES)
