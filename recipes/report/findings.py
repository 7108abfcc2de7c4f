"""Everything the report says of some runs, computed once for page, tables and figures."""

from dataclasses import dataclass

import pandas as pd

from ...callbacks.phases.false_alarms import FalseAlarms
from ...callbacks.phases.layer_order import LayerOrder
from ...trainers.runs.charts import RANKED
from ...trainers.runs.reader import RunData
from .dynamics import Kind
from .formats import join
from .phase_tables import (
    AnalysedCurve,
    analyse_run,
    false_alarms,
    layer_orders,
    layer_table,
    phase_table,
    relation_table,
    relations,
    run_values,
    spell,
)
from .summary import ner_results, statements, summary_table


@dataclass(frozen=True)
class Findings:
    """Tables and sentences.

    Attributes:
        summary: a row a run.
        statements: on losses, adaptation and NER.
        analysed: every curve with its phases.
        phase_statements, order_statements: on knees and on the order of layers, each with its number of runs and its
            uncertainty.
        phases, layers, relations: the tables behind them.
    """

    summary: pd.DataFrame
    statements: list[str]
    analysed: list[AnalysedCurve]
    phase_statements: list[str]
    order_statements: list[str]
    phases: pd.DataFrame
    layers: pd.DataFrame
    relations: pd.DataFrame


def find(runs: list[RunData], downstream: dict[str, float]) -> Findings:
    """Analyse runs.

    Args:
        runs: to compare.
        downstream: F1 by label, of sweeps; a run without one is taken by the NER model in its own folder.
    """
    summary = summary_table(runs)
    analysed = [curve for run in runs for curve in analyse_run(run)]
    orders = layer_orders(analysed)
    f1 = {run.label: (ner_results(run) or {}).get("f1", float("nan")) for run in runs} | downstream
    values = pd.DataFrame([run_values(run, analysed, f1) for run in runs])
    related = relations(values)
    alarms = false_alarms(analysed)
    said = [knee_statement(run, analysed, alarms) for run in runs]
    if alarms:
        said.append(alarm_statement(alarms))
    if related:
        enough = [relation for relation in related.values() if relation.correlation]
        said.append(
            f"How knees relate to query accuracy and F1 was looked at across {len(runs)} "
            f"{'run' if len(runs) == 1 else 'runs'}: "
            + (
                f"{len(enough)} of {len(related)} pairs have enough runs, see the table."
                if enough
                else "too few runs to say."
            )
        )
    return Findings(
        summary=summary,
        statements=statements(runs, summary),
        analysed=analysed,
        phase_statements=said,
        order_statements=order_statements(orders),
        phases=phase_table(analysed),
        layers=layer_table(orders),
        relations=relation_table(related),
    )


def knee_statement(run: RunData, analysed: list[AnalysedCurve], alarms: FalseAlarms | None) -> str:
    """Which of a run's curves have a knee, and how many would by chance."""
    own = [curve for curve in analysed if curve.run == run.label and not curve.phases.note]
    short = sum(curve.run == run.label for curve in analysed) - len(own)
    left_out = f" {short} more had too few points or were constant." if short else ""
    if not own or alarms is None:
        return f"{run.label}: no curve could be analysed (1 run).{left_out}"
    ranked = [curve for curve in own if curve.quantity == RANKED]
    kneed = sorted((curve for curve in own if curve.phases.knee), key=lambda curve: curve.layer >= 0)
    by_chance = len(own) * alarms.knees / alarms.curves
    named = "; ".join(
        f"{curve.name} at step {spell(curve.phases.knee.at)}" for curve in kneed[:5] if curve.phases.knee
    )
    more = f"; and {len(kneed) - 5} more" if len(kneed) > 5 else ""
    ranks = f" ({sum(curve in kneed for curve in ranked)} of {len(ranked)} of effective rank)" if ranked else ""
    found = (
        f"a knee in {len(kneed)} of {len(own)} curves{ranks}: {named}{more}"
        if kneed
        else f"no knee found in {len(own)} curves"
    )
    return f"{run.label}: {found}. In as many curves of noise {by_chance:.1f} would be expected (1 run).{left_out}"


def order_statements(orders: dict[tuple[str, Kind, str], LayerOrder]) -> list[str]:
    """A sentence a run and quantity: which layer of each module specialises first and which reconverges last."""
    parts: dict[tuple[str, Kind], list[str]] = {}
    for (run, kind, module), order in orders.items():
        parts.setdefault((run, kind), []).append(f"{module}: {order_words(order)}")
    return [f"{run}, {kind.title} (1 run). {'; '.join(words)}." for (run, kind), words in parts.items()]


def order_words(order: LayerOrder) -> str:
    """The ends of an order of layers, or why there is none."""
    if not order.layers:
        return f"no order, fewer than two of {order.examined} layers fall beyond noise"
    first = max(order.layers, key=lambda times: times.first)
    last = max(order.layers, key=lambda times: times.last)
    unsettled = sorted(times.layer for times in order.layers if times.reconverges is None)
    if last.reconverges is None:
        end = f"layer {join(list(map(str, unsettled)))} not reconverged by the end"
    else:
        end = f"layer {last.layer} reconverges last (step {spell(last.reconverges)}, {last.last:.0%})"
    return (
        f"layer {first.layer} specialises first (step {spell(first.specialises)}, {first.first:.0%}), {end}; "
        f"{len(order.layers)} of {order.examined} layers fall"
    )


def alarm_statement(alarms: FalseAlarms) -> str:
    """How often the analysis finds something in noise."""
    return (
        f"False alarms, measured for this report on {alarms.curves} curves of pure noise with {alarms.points} points "
        f"and autocorrelation {alarms.autocorrelation:.2f}: a change point in {alarms.change_points}, a knee in "
        f"{alarms.knees}."
    )
