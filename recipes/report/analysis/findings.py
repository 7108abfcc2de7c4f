"""Everything the report states about some runs, computed once for the page, the tables and the figures."""

from dataclasses import dataclass

import pandas as pd

from ....trainers.runs.reader import RunData
from . import statements
from .phases import AnalysedCurve, analyse_run, false_alarms, layer_orders
from .tables import layer_table, phase_table, relation_table, relations, summary_table


@dataclass(frozen=True)
class Findings:
    """Tables and sentences.

    Attributes:
        analysed: every curve with its phases.
        summary, phases, layers, relations: see the functions of `tables`.
        run_statements: on losses, adaptation and NER.
        phase_statements: on knees, with the rate of false alarms.
        order_statements: on the order of layers.
    """

    analysed: list[AnalysedCurve]
    summary: pd.DataFrame
    phases: pd.DataFrame
    layers: pd.DataFrame
    relations: pd.DataFrame
    run_statements: list[str]
    phase_statements: list[str]
    order_statements: list[str]


def find(runs: list[RunData], downstream: dict[str, float]) -> Findings:
    """Analyse runs.

    Args:
        runs: runs to compare.
        downstream: F1 of sweeps by label; of other runs the F1 of the NER model in their folder counts.
    """
    summary = summary_table(runs)
    analysed = [curve for run in runs for curve in analyse_run(run)]
    orders = layer_orders(analysed)
    related = relations(summary, analysed, downstream)
    return Findings(
        analysed=analysed,
        summary=summary,
        phases=phase_table(analysed),
        layers=layer_table(orders),
        relations=relation_table(related),
        run_statements=statements.run_statements(runs, summary),
        phase_statements=statements.phase_statements(runs, analysed, false_alarms(analysed), related),
        order_statements=statements.order_statements(orders),
    )
