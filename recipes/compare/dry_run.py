"""What a study takes, and what its seeds can decide: printed before anything long begins."""

import math

from statsmodels.stats.power import TTestPower

from .budget import StepCost
from .study import Study

POWER = 0.8


def describe(study: Study, costs: dict[str, StepCost], plan: dict[str, dict[float, int]]) -> str:
    """Runs, steps, FLOPs, tokens, hours and disk of each arm, and the power for the margins."""
    seeds, workers = len(study.args.seeds), study.args.workers
    lines = [f"{study.args.question}", "", f"{len(study.runs())} runs, equal {study.args.budget}:"]
    hours = disk = 0.0
    for name, cost in costs.items():
        steps = sum(plan[name].values())
        hours += seeds * steps * cost.seconds / 3600
        disk += seeds * len(plan[name]) * cost.disk
        shown = ", ".join(
            f"{count} steps" + ("" if share == 1 else f" ({share:g})") for share, count in plan[name].items()
        )
        lines.append(
            f"  {name}: {seeds} x {shown}; a run {plan[name][1.0] * cost.flops:.3g} FLOPs, "
            f"{plan[name][1.0] * cost.tokens:,.0f} tokens, {plan[name][1.0] * cost.seconds / 60:.1f} min of compute; "
            f"a step {cost.seconds:.3f} s, of which {cost.sampling_seconds:.3f} s draw episodes"
        )
    lines += [
        f"Pretraining takes {hours:.2f} hours of compute, with {workers} workers {hours / workers:.2f} hours by the "
        f"clock if each has its own machine; evaluation and NER come on top. About {disk / 1e9:.2f} GB of disk.",
        "",
        f"With {seeds} seeds, a difference as large as its margin is found with a chance of {POWER:.0%} (t test, 5 %, "
        "two-sided, uncorrected) if the differences between seeds have a standard deviation of at most",
    ]
    lines += [f"  {measure}: {largest_spread(margin, seeds):.3g}" for measure, margin in study.margins.items()]
    return "\n".join(lines)


def largest_spread(margin: float, seeds: int) -> float:
    """Standard deviation of paired differences at which a t test still finds the margin; NaN with one seed."""
    if seeds < 2:
        return math.nan
    return margin / float(TTestPower().solve_power(nobs=seeds, alpha=0.05, power=POWER))
