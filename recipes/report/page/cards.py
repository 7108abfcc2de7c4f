"""The page's summary: one card a run, its figures beside their baselines."""

from typing import Any

import numpy as np
import pandas as pd

from ....trainers.runs.reader import RunData
from ..formats import number, short
from ..palette import colour_of

STATES = {
    "finished": "Finished",
    "training": "Still training, or stopped minutes ago",
    "stopped": "Stopped early: no final results",
}


def card(run: RunData, row: pd.Series, index: int) -> dict[str, Any]:
    """What page.html shows on the card of a run, from its row of the summary table."""
    of = "" if np.isnan(row["of steps"]) else f" of {row['of steps']:,.0f}"
    trained, measured = not np.isnan(row["query accuracy"]), not np.isnan(row["prototypes"])
    name = "query accuracy" if trained else "fresh head"
    low, high = number(row[f"{name}, low"], ".1%"), number(row[f"{name}, high"], ".1%")
    last = np.nan if measured else run.last("query_accuracy")
    first_loss, last_loss = (number(row[column], ".3f") for column in ("held-out loss at first", "held-out loss"))
    main = [
        ("Held-out perplexity", number(row["held-out perplexity"], ",.1f")),
        ("Query accuracy" if trained else "Query accuracy, fresh head", number(row[name], ".1%")),
    ]
    rest = [
        ("Held-out loss, first to last", f"{first_loss} → {last_loss}"),
        ("95 % interval", f"{low} to {high}"),
        ("A fresh head", number(row["fresh head"] if trained else np.nan, ".1%")),
        ("Class prototypes, no head", number(row["prototypes"], ".1%")),
        ("Chance", number(row["chance"], ".1%")),
        ("Query accuracy, last training log", number(last, ".1%")),
        ("NER test F1", number(row["NER F1"], ".3f")),
        ("NER gazetteer baseline", number(row["NER gazetteer baseline"])),
        ("Parameters", short(row["parameters"])),
        ("Tokens", short(row["tokens"])),
        ("of these by next-token loss", short(row["next-token tokens"])),
        ("Episodes", number(row["episodes"])),
        ("FLOPs, by formula", short(row["FLOPs"])),
        (f"{run.compute_unit} seconds of training", number(run.last("compute_seconds"), ",.0f")),
        ("Wall-clock", f"{number(row['seconds'], ',.0f')} s"),
    ]
    return {
        "label": run.label,
        "colour": colour_of(index),
        "status": run.status,
        "state": f"{STATES[run.status]}, step {run.steps:,}{of}",
        "main": [pair for pair in main if pair[1] != "n/a"],
        "rest": [pair for pair in rest if "n/a" not in pair[1]],
        "notes": "; ".join(run.notes),
    }
