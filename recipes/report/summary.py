"""What was run and what came of it, in figures and in sentences that claim no more than was measured."""

import json
from typing import Any

import numpy as np
import pandas as pd

from ...trainers.runs.folder import RESULTS_FILE
from ...trainers.runs.reader import RunData


def ner_results(run: RunData) -> dict[str, Any] | None:
    """What the demo's fine-tuning left in the run's folder; None where there is none, or half of it."""
    try:
        results = json.loads((run.path / "ner" / RESULTS_FILE).read_text())
        return {"treebank": results["treebank"], "baselines": results["baselines"], **results["scores"]["test"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary_table(runs: list[RunData]) -> pd.DataFrame:
    """A row a run, in plain units; NaN where there is no figure."""
    rows = []
    for run in runs:
        adapted = run.results.get("adaptation") or {}
        trained, fresh = (adapted.get(name) or [{}] for name in ("trained", "fresh"))
        prototypes, ner = adapted.get("prototypes") or {}, ner_results(run) or {}
        rows.append(
            {
                "run": run.label,
                "status": run.status,
                "parameters": run.cost.parameters if run.cost else np.nan,
                "steps": run.steps,
                "of steps": run.arguments.get("max_steps", np.nan),
                "tokens": _known(run, "tokens"),
                "next-token tokens": run.last("next_token_tokens"),
                "episodes": run.last("episodes"),
                "FLOPs": _known(run, "flops"),
                "seconds": _known(run, "seconds"),
                "held-out loss at first": _first(run, "eval_next_token_loss"),
                "held-out loss": run.last("eval_next_token_loss"),
                "held-out perplexity": run.last("eval_perplexity"),
                "query accuracy": trained[-1].get("mean", np.nan),
                "query accuracy, low": trained[-1].get("low", np.nan),
                "query accuracy, high": trained[-1].get("high", np.nan),
                "before the inner loop": trained[0].get("mean", np.nan),
                "fresh head": fresh[-1].get("mean", np.nan),
                "fresh head, low": fresh[-1].get("low", np.nan),
                "fresh head, high": fresh[-1].get("high", np.nan),
                "prototypes": prototypes.get("mean", np.nan),
                "prototypes, low": prototypes.get("low", np.nan),
                "prototypes, high": prototypes.get("high", np.nan),
                "chance": adapted.get("chance", np.nan),
                "held-out episodes": adapted.get("episodes", np.nan),
                "NER F1": ner.get("f1", np.nan),
                "NER entities": ner.get("support", np.nan),
                "NER majority baseline": (ner.get("baselines") or {}).get("majority", np.nan),
                "NER gazetteer baseline": (ner.get("baselines") or {}).get("gazetteer", np.nan),
            }
        )
    return pd.DataFrame(rows)


def _known(run: RunData, axis: str) -> float:
    known = run.metrics[axis].dropna()
    return float(known.iloc[-1]) if len(known) else np.nan


def _first(run: RunData, name: str) -> float:
    curve = run.curve(name)
    return float(curve["value"].iloc[0]) if len(curve) else np.nan


def statements(runs: list[RunData], table: pd.DataFrame) -> list[str]:
    """The findings in sentences, each with what it rests on."""
    said = [held_out_statement(runs)]
    by_run = table.set_index("run")
    for run in runs:
        said.append(adaptation_statement(run, by_run.loc[run.label]))
    said.append(ner_statement(by_run))
    if len(runs) > 1:
        said.append(
            f"{len(runs)} runs are compared, and a difference between two of them is a difference between two runs: "
            "how much another seed would change is not in these figures."
        )
    else:
        said.append("This is one run: how much another seed would change is not in these figures.")
    return [sentence for sentence in said if sentence]


def held_out_statement(runs: list[RunData]) -> str:
    """Who has the lowest held-out loss at the last step that all were evaluated at."""
    curves = {run.label: run.curve("eval_next_token_loss").set_index("step")["value"] for run in runs}
    # A run that was evaluated before training alone says nothing of training.
    curves = {label: curve for label, curve in curves.items() if len(curve) and curve.index.max() > 0}
    if not curves:
        return ""
    common = sorted(set.intersection(*(set(curve.index) for curve in curves.values())))
    if len(curves) < 2 or not common:
        label, curve = next(iter(curves.items()))
        return (
            f"{label}: held-out next-token loss {curve.iloc[0]:.3f} nats a token at step {curve.index[0]:,.0f}, "
            f"{curve.iloc[-1]:.3f} at step {curve.index[-1]:,.0f}."
        )
    at = {label: curve[common[-1]] for label, curve in curves.items()}
    best = min(at, key=lambda label: at[label])
    others = ", ".join(f"{label} {at[label] - at[best]:+.3f}" for label in at if label != best)
    return (
        f"Lowest held-out next-token loss at step {common[-1]:,.0f}, the last at which all were evaluated: {best}, "
        f"{at[best]:.3f} nats a token. Against it: {others}. The sets held out are the same only if the corpus was."
    )


def adaptation_statement(run: RunData, row: pd.Series) -> str:
    """How a run's head does beside class prototypes and chance, on words that were no class in training."""
    if np.isnan(row["prototypes"]):
        return ""
    trained = not np.isnan(row["query accuracy"])
    who = "trained head" if trained else "fresh head (it was never meta-trained)"
    name = "query accuracy" if trained else "fresh head"
    mean, low, high = row[name], row[f"{name}, low"], row[f"{name}, high"]
    if low > row["prototypes, high"]:
        verdict = "ahead of its own class prototypes"
    elif high < row["prototypes, low"]:
        verdict = "behind its own class prototypes, which need no head"
    else:
        verdict = "not to be told apart from its own class prototypes"
    return (
        f"{run.label}: on held-out words its {who} answers {mean:.1%} [{low:.1%}, {high:.1%}] of the queries right "
        f"after the inner loop, {verdict} ({row['prototypes']:.1%} [{row['prototypes, low']:.1%}, "
        f"{row['prototypes, high']:.1%}]); chance is {row['chance']:.1%}. {row['held-out episodes']:.0f} episodes, 95 "
        "% bootstrap intervals over episodes."
    )


def ner_statement(by_run: pd.DataFrame) -> str:
    """F1 of the NER models that lie in the runs' folders, beside the baselines."""
    found = by_run.dropna(subset=["NER F1"])
    if not len(found):
        return ""
    scores = ", ".join(f"{label} {row['NER F1']:.3f}" for label, row in found.iterrows())
    row = found.iloc[0]
    return (
        f"Fine-tuned for NER in the run's own folder, test F1: {scores} ({row['NER entities']:.0f} entities; always "
        f"the most frequent tag {row['NER majority baseline']:.3f}, gazetteer {row['NER gazetteer baseline']:.3f})."
    )
