"""The report's tables of runs; page, CSV and LaTeX show the same ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ....callbacks.phases.across_runs import Relation, relate
from ....callbacks.phases.departure_test import ALPHA
from ....trainers.runs.charts import RANKED, charts_of
from ....trainers.runs.reader import AXES, RunData
from ..dynamics import ALL_MODULES
from ..formats import interval
from .phases import AnalysedCurve, LayerOrders

# By the name of a column in the table of relations.
Relations = dict[tuple[str, str], Relation]


def summary_table(runs: list[RunData]) -> pd.DataFrame:
    """A row a run, in plain units; NaN where a figure is missing."""
    return pd.DataFrame(map(_summary_row, runs))


def _summary_row(run: RunData) -> dict[str, Any]:
    adapted, ner = run.results.get("adaptation") or {}, run.ner.get("ner", {})
    trained, fresh = (adapted.get(name) or [{}] for name in ("trained", "fresh"))
    differences = adapted.get("differences") or {}
    test, baselines = ner.get("scores", {}).get("test", {}), ner.get("baselines", {})
    held_out = run.curve("eval_next_token_loss")["value"]
    return {
        "run": run.label,
        "status": run.status,
        "parameters": run.cost.parameters if run.cost else np.nan,
        "steps": run.steps,
        "of steps": run.arguments.get("max_steps", np.nan),
        "tokens": run.last("tokens"),
        "next-token tokens": run.last("next_token_tokens"),
        "episodes": run.last("episodes"),
        "FLOPs": run.last("flops"),
        "seconds": run.last("seconds"),
        "held-out loss at first": float(held_out.iloc[0]) if len(held_out) else np.nan,
        "held-out loss": run.last("eval_next_token_loss"),
        "held-out perplexity": run.last("eval_perplexity"),
        **_accuracy("query accuracy", trained[-1]),
        "before the inner loop": trained[0].get("mean", np.nan),
        **_accuracy("fresh head", fresh[-1]),
        **_accuracy("prototypes", adapted.get("prototypes") or {}),
        **_accuracy(
            "head - prototypes", differences.get("trained - prototypes", differences.get("fresh - prototypes", {}))
        ),
        "chance": adapted.get("chance", np.nan),
        "held-out episodes": adapted.get("episodes", np.nan),
        "NER F1": test.get("f1", np.nan),
        "NER entities": test.get("support", np.nan),
        "NER majority baseline": baselines.get("majority", np.nan),
        "NER gazetteer baseline": baselines.get("gazetteer", np.nan),
    }


def _accuracy(name: str, measured: dict[str, float]) -> dict[str, float]:
    columns = {name: "mean", f"{name}, low": "low", f"{name}, high": "high"}
    return {column: measured.get(key, np.nan) for column, key in columns.items()}


def phase_table(analysed: list[AnalysedCurve]) -> pd.DataFrame:
    """A row a curve: where it rises and falls, and its phases with their places in steps and adjusted p-values.

    The last two columns say whether the learning rate explains all phases, and whether the same curve of a vanilla run
    has phases too.
    """
    rows = []
    for curve in analysed:
        phases = curve.phases
        course = phases.note or ", then ".join(segment.trend for segment in phases.segments)
        points = "; ".join(
            f"{point.kind} at {interval(point.at)}, p = {point.p_value:.2g}" for point in phases.change_points
        )
        none = "" if phases.note else "none found"
        knee = interval(phases.knee.at) if phases.knee else none
        beside = (rate_note(curve), VANILLA_NOTES[curve.vanilla]) if points else ("", "")
        rows.append((curve.run, curve.name, phases.points, course, points or none, knee, *beside))
    columns = ["run", "curve", "points", "course", "phases", "knee", "learning rate", "vanilla run"]
    return pd.DataFrame(rows, columns=columns)


VANILLA_NOTES = {"": "n/a", "none": "no phase", "phases": "has phases too"}


def rate_note(curve: AnalysedCurve) -> str:
    """Whether the learning rate explains the phases of a curve that has some."""
    p_values = [point.rate_p_value for point in curve.phases.change_points]
    known = [p for p in p_values if p is not None]
    if not known:
        return "not logged"
    beside = sum(p <= ALPHA for p in known)
    return f"explains {'none' if beside == len(known) else len(known) - beside} of {len(known)}"


def layer_table(orders: LayerOrders) -> pd.DataFrame:
    """A row a layer whose effective rank falls, the first to specialise first."""
    rows = []
    for (run, kind, module), order in orders.items():
        for times in order.layers:
            first, last = f"{times.first:.0%}", f"{times.last:.0%}"
            end = interval(times.reconverges) if times.reconverges else "not by the end"
            rows.append((run, kind.title, module, times.layer, interval(times.specialises), first, end, last))
    columns = ["run", "curve", "module", "layer", "specialises", "first in", "reconverges", "last in"]
    return pd.DataFrame(rows, columns=columns)


def relations(summary: pd.DataFrame, analysed: list[AnalysedCurve], downstream: dict[str, float]) -> Relations:
    """Relate the knee of every mean effective rank to query accuracy and to F1, across runs.

    `downstream` is F1 by label; of other runs the F1 of the summary counts.
    """
    by_run = summary.set_index("run")
    outcomes = {
        "query accuracy, held-out words": by_run["query accuracy"],
        "downstream F1": pd.Series(by_run["NER F1"].to_dict() | downstream)[by_run.index],
    }
    knees: dict[str, pd.Series] = {}
    for curve in analysed:
        if curve.kind.quantity == RANKED and curve.module == ALL_MODULES:
            steps = knees.setdefault(curve.name, pd.Series(np.nan, by_run.index))
            steps[curve.run] = curve.phases.knee.at.value if curve.phases.knee else np.nan
    return {
        (name, outcome): relate(steps.to_numpy(float), values.to_numpy(float))
        for name, steps in knees.items()
        for outcome, values in outcomes.items()
    }


def relation_table(related: Relations) -> pd.DataFrame:
    """A row a knee and outcome."""
    rows = []
    for pair, relation in related.items():
        correlation = interval(relation.correlation, ".2f") if relation.correlation else relation.note
        p_value = "" if relation.p_value is None else f"{relation.p_value:.3f}"
        rows.append((*pair, relation.runs, correlation, p_value))
    return pd.DataFrame(rows, columns=["knee of", "against", "runs", "rank correlation", "p"])


def curve_tables(runs: list[RunData]) -> Iterator[pd.DataFrame]:
    """Every logged value that a chart shows, a table for each run and metric, after an empty one.

    Columns are `run`, `metric`, those of `AXES`, `compute_unit` and `value`.
    """
    columns = ["run", "metric", *AXES, "compute_unit", "value"]
    yield pd.DataFrame(columns=columns)
    metrics = [series.metric for chart in charts_of(runs) for series in chart.lines]
    for run in runs:
        for metric in metrics:
            yield _named(run, run.curve(metric)).assign(metric=metric)[columns]


def measurement_table(runs: list[RunData]) -> pd.DataFrame:
    """The learning dynamics: columns `run`, those of `load_dynamics` and of `AXES`, and `compute_unit`."""
    return pd.concat([_named(run, run.dynamics) for run in runs])


def _named(run: RunData, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(run=run.label, compute_unit=run.compute_unit or "n/a")
