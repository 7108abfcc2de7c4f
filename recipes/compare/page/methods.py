"""What was done, in a paragraph for a paper and in sentences for the first screen."""

import pandas as pd

from ...report.formats import join, plural
from ..plan import Plan
from ..results.verdicts import lower_is_better
from ..study import Study

BUDGET_NAMES = {
    "flops": "floating-point operations",
    "tokens": "tokens",
    "next_token_tokens": "tokens of next-token prediction",
    "seconds": "CPU or GPU seconds",
}


def sentence(row: pd.Series) -> str:
    """A verdict in words, with the test, the number of runs and the interval."""
    subject = f"{row['arm']} against {row['control']} in {row['measure']}"
    if row["seeds"] == 0:
        return f"{subject}: {row['verdict']}."
    if row["verdict"] == "identical":
        return f"{subject}: identical in {plural(row['seeds'], 'pair')} of runs."
    if row["seeds"] == 1:
        return (
            f"{subject}: {row['mean']:+.4g}; not enough runs to say (one seed compares two checkpoints, not methods)."
        )
    test = f"t test on pairs crossed with {row['sentences']:,} sentences" if row["sentences"] else "paired t test"
    family = "Holm over the primary tests" if row["primary"] else "exploratory, Holm over the exploratory tests"
    return (
        f"{subject}: {row['verdict']}. Difference {row['mean']:+.4g}, 95 % interval {row['low']:+.4g} to "
        f"{row['high']:+.4g} (not adjusted), {plural(row['seeds'], 'pair')} of runs, {test} p = "
        f"{row['p']:.2g}, adjusted {row['p_adjusted']:.2g} ({family}); exact sign-flip test p = "
        f"{row['sign_flip_p']:.2g}, of at least {row['smallest_sign_flip_p']:.2g} with so many "
        f"seeds. Margin {row['margin']:g}; "
        f"{'lower' if lower_is_better(row['measure']) else 'higher'} is better."
    )


def methods(study: Study, plan: Plan) -> str:
    """A paragraph of methods."""
    args = study.args
    control = study.control
    tokens = plan.costs[control.name].tokens * plan.steps[control.name][1.0]
    arms = join([f"{name} (about {plan.steps[name][1.0]} steps)" for name in study.arms])
    text = (
        f"We pretrained {plural(len(study.arms), 'arm')}, {arms}, with {plural(len(args.seeds), 'seed')} each "
        f"({join([str(seed) for seed in args.seeds])}){_added(plan)}. All arms start from {join(args.base)}; those of "
        f"one seed share {_shared(study)}. Every arm was given the number of steps that fits "
        f"the same budget, the {BUDGET_NAMES[args.budget]} that {control.name} needs for "
        f"{plan.steps[control.name][1.0]} steps ({tokens:,.0f} tokens), and its warm-up and decay were scaled to "
        f"them. {_charged(study, plan)}"
        "Differences are paired by seed. Two-sided paired t tests were corrected by Holm's method over "
        f"{plural(len(study.primary), 'primary test')}, named before any run; all other tests are exploratory and "
        "corrected apart. Two methods count as equivalent where two one-sided t tests at 5 % place the difference "
        "within the margin. Intervals are 95 % t intervals over seeds and are not adjusted."
    )
    if study.follow_up.ner or study.follow_up.few_shot:
        text += (
            " F1 was averaged within a pretraining seed over fine-tuning seeds and draws of sentences. Its t tests "
            "cross pretraining seeds with test sentences: the variance of a mean difference is that by seed, plus "
            "that by sentence from resamples of the test set, minus that by both (Cameron, Gelbach and Miller 2011). "
            "Fine-tuning seeds and draws are the same for all arms, and the tests hold for these."
        )
    if study.follow_up.adaptation:
        text += (
            " All models were evaluated on the same episodes of held-out words, with class prototypes and a head that "
            "starts untrained, since a trained head exists in some arms only."
        )
    return text


def _added(plan: Plan) -> str:
    """Seeds that were added after a look at results, for which tests at 5 % do not allow."""
    later = [f"{join([str(seed) for seed in seeds])} on {day}" for day, seeds in plan.added.items()]
    if not later:
        return ""
    return f", of which {join(later)} were added after runs had finished, for which the p values do not allow"


def _shared(study: Study) -> str:
    """What arms of one seed have in common."""
    start = vars(study.control.arguments().model)
    others = [name for name, arm in study.arms.items() if vars(arm.arguments().model) != start]
    weights = "the initial weights" + (f" (but for {join(others)}, with another start)" if others else "")
    return f"{weights} and the order of the data"


def _charged(study: Study, plan: Plan) -> str:
    """What counts as compute besides the steps, in sentences."""
    if study.args.budget not in ("flops", "seconds"):
        return ""
    counted = any(cost.once_seconds for cost in plan.costs.values())
    before = " and to count text before the first step" if counted else ""
    if study.args.budget == "seconds":
        return f"The time to draw episodes{before} is included. "
    return (
        f"FLOPs are counted by formula; the time to draw episodes{before} was measured and is charged at the FLOPs a "
        "second of the control. "
    )
