"""What a study takes, and what its seeds can decide: printed before anything long begins."""

from statsmodels.stats.power import TTestPower

from .budget import StepCost
from .plan import Plan
from .study import Study

POWER = 0.8


def describe(study: Study, plan: Plan) -> str:
    """Runs, steps, FLOPs, tokens, hours and disk of each arm, and the power for the margins."""
    seeds, workers, runs = len(study.args.seeds), study.args.workers, len(study.runs())
    lines = [f"{study.args.question}", "", f"{runs} runs, equal {study.args.budget}:"]
    hours = disk = 0.0
    for name, cost in plan.costs.items():
        steps = sum(plan.steps[name].values())
        hours += seeds * (steps * cost.seconds + len(plan.steps[name]) * cost.once_seconds) / 3600
        disk += seeds * len(plan.steps[name]) * cost.disk
        lines.append(_arm(name, cost, plan.steps[name], seeds))
    after = plan.follow_up
    whole = hours + runs * after.seconds / 3600
    lines += [
        f"Pretraining takes {hours:.2f} hours of compute. After each run evaluation takes about "
        f"{after.evaluation:.0f} s, NER {after.ner:.0f} s and few-shot training {after.few_shot:.0f} s (both "
        "by FLOPs, at the pace of pretraining).",
        f"Together {whole:.2f} hours, with {workers} workers {whole / workers:.2f} hours by the clock if each has its "
        f"own machine. About {disk / 1e9:.2f} GB of disk.",
        "",
        *_power(study.margins, seeds),
    ]
    return "\n".join(lines)


def _power(margins: dict[str, float], seeds: int) -> list[str]:
    if seeds < 2:
        return ["One seed decides nothing, because differences have no spread: give --seeds two or more."]
    return [
        f"With {seeds} seeds, a difference as large as its margin is found with a chance of {POWER:.0%} (t test, 5 %, "
        "two-sided, uncorrected; F1 also varies with the test sentences) if the differences between seeds have a "
        "standard deviation of at most",
        *(f"  {measure}: {largest_spread(margin, seeds):.3g}" for measure, margin in margins.items()),
    ]


def _arm(name: str, cost: StepCost, steps: dict[float, int], seeds: int) -> str:
    shown = ", ".join(f"{count} steps" + ("" if share == 1 else f" ({share:g})") for share, count in steps.items())
    whole = steps[1.0]
    return (
        f"  {name}: {seeds} x {shown}; a run {whole * cost.flops + cost.once_flops:.3g} FLOPs, "
        f"{whole * cost.tokens:,.0f} tokens, {(whole * cost.seconds + cost.once_seconds) / 60:.1f} min of compute; "
        f"a step {cost.seconds:.3f} s, of which {cost.sampling_seconds:.3f} s draw episodes"
        + (f"; {cost.once_seconds:.1f} s before the first step count its text" if cost.once_seconds else "")
    )


def largest_spread(margin: float, seeds: int) -> float:
    """Standard deviation of paired differences at which a t test of two or more seeds still finds the margin."""
    return margin / float(TTestPower().solve_power(nobs=seeds, alpha=0.05, power=POWER))
