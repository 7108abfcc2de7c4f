"""The report's findings in sentences, each with its uncertainty and the number of runs it rests on."""

import numpy as np
import pandas as pd

from ....callbacks.phases.layer_order import LayerOrder
from ....trainers.runs.reader import RunData
from ..formats import interval, join
from .equal_flops import EqualFLOPs
from .loss_statements import loss_statements
from .phases import LayerOrders


def run_statements(runs: list[RunData], summary: pd.DataFrame, equal: EqualFLOPs | None) -> list[str]:
    """Held-out loss, adaptation and NER, and how far the comparison goes."""
    compared = f"{len(runs)} runs are compared: a difference between them is not yet a difference between methods."
    end = compared if len(runs) > 1 else "This is one run."
    seeds = "" if equal and equal.differences else " How much another seed would change was not measured here."
    sentences = [
        *loss_statements(runs, equal),
        *(adaptation_statement(row) for _, row in summary.iterrows()),
        ner_statement(summary),
        end + seeds,
    ]
    return [sentence for sentence in sentences if sentence]


def adaptation_statement(row: pd.Series) -> str:
    """A run's head beside class prototypes and chance, on held-out words."""
    if np.isnan(row["prototypes"]):
        return ""
    trained = not np.isnan(row["query accuracy"])
    head = "trained head" if trained else "fresh head (the run trained none on such episodes)"
    name = "query accuracy" if trained else "fresh head"
    low, high = row[f"{name}, low"], row[f"{name}, high"]
    gap, gap_low, gap_high = (row[f"head - prototypes{end}"] for end in ("", ", low", ", high"))
    if gap_low > 0:
        verdict = "ahead of its own class prototypes"
    elif gap_high < 0:
        verdict = "behind its own class prototypes, which need no head"
    else:
        verdict = "not measurably different from its own class prototypes"
    paired = "" if np.isnan(gap) else f"; paired difference {gap:+.1%} [{gap_low:+.1%}, {gap_high:+.1%}]"
    return (
        f"{row['run']}: after the inner loop its {head} classifies {row[name]:.1%} [{low:.1%}, {high:.1%}] of the "
        f"queries on held-out words correctly, {verdict} ({row['prototypes']:.1%} [{row['prototypes, low']:.1%}, "
        f"{row['prototypes, high']:.1%}]{paired}); chance is {row['chance']:.1%}. {row['held-out episodes']:.0f} "
        "episodes of 1 run, 95 % intervals (t, two-way clustered) over words and documents."
    )


def ner_statement(summary: pd.DataFrame) -> str:
    """F1 of the NER models in the runs' folders, beside the baselines."""
    scored = summary.dropna(subset=["NER F1"])
    if not len(scored):
        return ""
    scores = ", ".join(f"{row['run']} {row['NER F1']:.3f}" for _, row in scored.iterrows())
    row = scored.iloc[0]
    return (
        f"Test F1 of the NER models in the runs' own folders: {scores} ({row['NER entities']:.0f} entities). "
        f"Baselines: {row['NER majority baseline']:.3f} with the most frequent tag for every word, "
        f"{row['NER gazetteer baseline']:.3f} for a gazetteer."
    )


def order_statements(orders: LayerOrders) -> list[str]:
    """A sentence a run and kind: which layer of each module specialises first and which reconverges last."""
    parts: dict[tuple[str, str], list[str]] = {}
    for (run, kind, module), order in orders.items():
        parts.setdefault((run, kind.title), []).append(f"{module}: {describe_order(order)}")
    return [f"{run}, {title} (1 run). {'; '.join(modules)}." for (run, title), modules in parts.items()]


def describe_order(order: LayerOrder) -> str:
    """The first and the last layer of an order, or why there is none."""
    if not order.layers:
        return f"no order, fewer than two of {order.examined} layers fall beyond noise"
    first = max(order.layers, key=lambda times: times.first)
    last = max(order.layers, key=lambda times: times.last)
    moving = sorted(times.layer for times in order.layers if times.reconverges is None)
    if last.reconverges is None:
        end = f"layer{'s' if len(moving) > 1 else ''} {join(list(map(str, moving)))} not reconverged by the end"
    else:
        end = f"layer {last.layer} reconverges last (step {interval(last.reconverges)}, {last.last:.0%})"
    return (
        f"layer {first.layer} specialises first (step {interval(first.specialises)}, {first.first:.0%}), {end}; "
        f"{len(order.layers)} of {order.examined} layers fall"
    )
