"""Tables of a study: values and costs of its runs, trained heads, compute to reach a loss."""

from typing import Any

import pandas as pd

from ..plan import Plan
from ..results.compute_to_loss import FEWEST_BUDGETS, compute_ratio
from ..study import Study

UNITS = ("flops", "tokens", "next_token_tokens", "seconds")


def runs_table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a run: its values, and what it spent."""
    return pd.DataFrame(
        [
            {"arm": r["arm"], "seed": r["seed"], "share": r["share"], "steps": r["steps"], **r["values"], **r["spent"]}
            for r in results
        ]
    )


def cost_table(study: Study, results: list[dict[str, Any]], plan: Plan) -> pd.DataFrame:
    """A row an arm: planned steps, and the mean that its whole runs really spent, also as a share of the control's."""
    rows = []
    for arm in study.arms:
        spent = pd.DataFrame([r["spent"] for r in results if r["arm"] == arm and r["share"] == 1], columns=list(UNITS))
        rows.append(
            {
                "arm": arm,
                "steps": plan.steps[arm][1.0],
                "sampling seconds a step": plan.costs[arm].sampling_seconds,
                "seconds before the first step": plan.costs[arm].once_seconds,
                **spent.mean(),
            }
        )
    table = pd.DataFrame(rows).set_index("arm")
    for unit in UNITS:
        table[f"{unit}, share of {study.control.name}"] = table[unit] / table.loc[study.control.name, unit]
    return table.reset_index()


def trained_head_table(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Accuracy of the trained head after adaptation, which exists in some arms only and is compared within its arm."""
    return pd.DataFrame(
        [
            {
                "arm": r["arm"],
                "seed": r["seed"],
                "trained head": r["within"]["trained_head"],
                "fresh head": r["values"]["fresh_head"],
                "prototypes": r["values"]["prototypes"],
            }
            for r in results
            if r["within"]
        ]
    )


def to_loss(
    study: Study, results: list[dict[str, Any]]
) -> tuple[pd.DataFrame, dict[str, list[list[tuple[float, float]]]]]:
    """Compute to reach the control's final loss by arm and control, and the (compute, loss) points by arm and seed."""
    unit, shares = study.args.budget, sorted(study.args.budgets)
    if len(shares) < FEWEST_BUDGETS:
        return pd.DataFrame(), {}
    found = {(r["arm"], r["seed"], r["share"]): (r["spent"][unit], r["values"]["loss"]) for r in results}

    def points(arm: str, seed: int) -> list[tuple[float, float]]:
        return [found[arm, seed, share] for share in shares if (arm, seed, share) in found]

    complete = {
        arm: [seed for seed in study.args.seeds if len(points(arm, seed)) == len(shares)] for arm in study.arms
    }
    rows = []
    for arm in study.arms.values():
        for control in arm.controls:
            seeds = [seed for seed in complete[arm.name] if (control, seed, 1.0) in found]
            if not seeds:
                continue
            ratio = compute_ratio([points(arm.name, s) for s in seeds], [found[control, s, 1.0] for s in seeds])
            rows.append(
                {
                    "arm": arm.name,
                    "control": control,
                    "seeds": len(seeds),
                    "reached": sum(r < float("inf") for r in ratio.ratios),
                    **vars(ratio),
                }
            )
    drawn = {arm: [points(arm, seed) for seed in seeds] for arm, seeds in complete.items() if seeds}
    return pd.DataFrame(rows), drawn
