"""Everything the report states about some runs, computed once for the page, the tables and the figures."""

from dataclasses import dataclass

import pandas as pd

from ....trainers.runs.reader import RunData
from .cost import cost_table
from .equal_flops import at_equal_flops
from .phase_statements import phase_statements
from .phases import AnalysedCurve, analyse_runs, false_alarms, layer_orders
from .statements import order_statements, run_statements
from .tables import layer_table, phase_table, relation_table, relations, summary_table


@dataclass(frozen=True)
class Findings:
    """Curves with their phases, tables by file name, and sentences on runs, phases and the order of layers."""

    analysed: list[AnalysedCurve]
    tables: dict[str, pd.DataFrame]
    run_statements: list[str]
    phase_statements: list[str]
    order_statements: list[str]


def find(runs: list[RunData], downstream: dict[str, float]) -> Findings:
    """Analyse runs; `downstream` is the F1 of sweeps by label (see `relations`)."""
    summary = summary_table(runs)
    analysed = analyse_runs(runs)
    orders = layer_orders(analysed)
    related = relations(summary, analysed, downstream)
    equal = at_equal_flops(runs)
    return Findings(
        analysed=analysed,
        tables={
            "summary": summary,
            "cost": cost_table(runs),
            **({"equal_flops": equal.table} if equal else {}),
            "phases": phase_table(analysed),
            "layers": layer_table(orders),
            "relations": relation_table(related),
        },
        run_statements=run_statements(runs, summary, equal),
        phase_statements=phase_statements(runs, analysed, false_alarms(analysed), related),
        order_statements=order_statements(orders),
    )
