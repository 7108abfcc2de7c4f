"""What each run has cost, in the units that runs are compared over."""

from typing import Any

import numpy as np
import pandas as pd

from ....trainers.runs.reader import RunData


def cost_table(runs: list[RunData]) -> pd.DataFrame:
    """A row a run, up to its last training log; NaN where a figure is unknown."""
    return pd.DataFrame(map(_cost_row, runs))


def share_of_next_token(run: RunData) -> float:
    """FLOPs of a run as a share of what next-token prediction alone costs on the same tokens; NaN when unknown."""
    if run.cost is None:
        return np.nan
    return run.last("flops") / (run.cost.token * run.last("tokens"))


def _cost_row(run: RunData) -> dict[str, Any]:
    logs = run.curve("tokens_seen")
    steps = float(logs["step"].iloc[-1]) if len(logs) else np.nan
    last = {name: run.last(name) for name in ("tokens", "next_token_tokens", "episodes", "flops")}
    training = run.curve("compute_seconds").iloc[-1:]
    return {
        "run": run.label,
        "steps": steps,
        "tokens a step": last["tokens"] / steps,
        "next-token tokens a step": last["next_token_tokens"] / steps,
        "episodes a step": last["episodes"] / steps,
        "FLOPs a step": last["flops"] / steps,
        "share of next-token prediction alone": share_of_next_token(run),
        "unit of compute": run.compute_unit or "n/a",
        "seconds of training": training["value"].mean(),
        "seconds of training a step": (training["value"] / training["step"]).mean(),
        "other seconds": run.last(f"other_{run.compute_unit.lower()}_seconds"),
        "wall-clock seconds": run.last("seconds"),
    }
