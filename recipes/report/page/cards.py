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
    main = [("Held-out perplexity", number(row["held-out perplexity"], ",.1f"))]
    losses = [number(row[name], ".3f") for name in ("held-out loss at first", "held-out loss")]
    rest = [("Held-out loss, first to last", " → ".join(losses))]
    if not np.isnan(row["prototypes"]):
        trained = not np.isnan(row["query accuracy"])
        name = "query accuracy" if trained else "fresh head"
        main.append(("Query accuracy" if trained else "Query accuracy, fresh head", f"{row[name]:.1%}"))
        rest.append(("95 % interval", f"{row[f'{name}, low']:.1%} to {row[f'{name}, high']:.1%}"))
        rest += [("A fresh head", f"{row['fresh head']:.1%}")] if trained else []
        rest += [("Class prototypes, no head", f"{row['prototypes']:.1%}"), ("Chance", f"{row['chance']:.1%}")]
    else:
        rest.append(("Query accuracy, last training log", number(run.last("query_accuracy"), ".1%")))
    if not np.isnan(row["NER F1"]):
        rest.append(("NER test F1", f"{row['NER F1']:.3f}"))
        rest.append(("NER gazetteer baseline", number(row["NER gazetteer baseline"])))
    rest += [
        ("Parameters", short(row["parameters"])),
        ("Tokens", short(row["tokens"])),
        ("of these by next-token loss", short(row["next-token tokens"])),
        ("Episodes", number(row["episodes"])),
        ("FLOPs, by formula", short(row["FLOPs"])),
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
