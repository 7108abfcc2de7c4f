"""Findings on held-out loss in sentences: at equal FLOPs, with what was interpolated and what the runs can show."""

from collections.abc import Sequence

from ....trainers.runs.reader import RunData
from ..formats import join, plural, short
from .equal_flops import LOSS, ArmDifference, EqualFLOPs, LossAt

SIGNIFICANT = 0.05
# A run that ends at most this share of its steps later has about the learning rate of its end.
NEAR_THE_END = 0.05


def loss_statements(runs: Sequence[RunData], equal: EqualFLOPs | None) -> list[str]:
    """The held-out loss of each run at equal FLOPs, and what it shows; of one run its first and last loss."""
    if equal is None:
        return single_statements(runs)
    sentences = [
        lowest_statement(equal),
        *arm_statements(equal),
        equal_steps_statement(equal),
        unsure_statement(equal),
        schedule_statement(equal),
    ]
    if equal.left_out:
        sentences.append(
            f"Not compared at equal FLOPs: {join(list(equal.left_out))}, whose FLOPs are unknown or which were not "
            "evaluated before and after."
        )
    return [sentence for sentence in sentences if sentence]


def lowest_statement(equal: EqualFLOPs) -> str:
    """The loss of each run at equal FLOPs, the lowest first."""
    lowest, *others = equal.losses
    above = ", ".join(f"{at.run.label} {at.loss - lowest.loss:+.3f}" for at in others)
    return (
        f"Held-out next-token loss (nats a token) at equal FLOPs, {short(equal.flops)} of each run, the most that all "
        f"have used up to an evaluation: {'; '.join(map(describe, equal.losses))}. Lowest of these runs, without a "
        f"test: {lowest.run.label}; above it: {above}. Only runs on the same corpus have the same held-out text."
    )


def single_statements(runs: Sequence[RunData]) -> list[str]:
    """A sentence a run that was evaluated after its start; with several, that their FLOPs do not compare."""
    sentences = []
    for run in runs:
        curve = run.curve(LOSS)
        if len(curve) and curve["step"].max() > 0:
            first, last = curve.iloc[0], curve.iloc[-1]
            sentences.append(
                f"{run.label}: held-out next-token loss {first['value']:.3f} nats a token at step "
                f"{first['step']:,.0f}, {last['value']:.3f} at step {last['step']:,.0f}."
            )
    if len(sentences) > 1:
        sentences.append("Held-out losses are not compared: fewer than two of the runs were evaluated at known FLOPs.")
    return sentences


def describe(at: LossAt) -> str:
    """A run's loss and the evaluations it comes from."""
    if not at.interpolated:
        return f"{at.run.label} {at.loss:.3f} at step {at.steps[0]:,}"
    (step, later), (before, after) = at.steps, at.losses
    return (
        f"{at.run.label} {at.loss:.3f}, interpolated between step {step:,} ({before:.3f}) and {later:,} ({after:.3f})"
    )


def equal_steps_statement(equal: EqualFLOPs) -> str:
    """Which run has the lowest loss at equal steps, where that is another one than at equal FLOPs."""
    curves = {at.run.label: at.run.curve(LOSS).set_index("step")["value"] for at in equal.losses}
    common = set.intersection(*(set(curve.index) for curve in curves.values())) - {0}
    if not common:
        return ""
    step = max(common)
    best = min(curves, key=lambda label: curves[label][step])
    if best == equal.losses[0].run.label:
        return ""
    return (
        f"At equal steps ({step:,.0f}) the lowest would be {best}, {curves[best][step]:.3f}: "
        "equal steps are not equal compute."
    )


def unsure_statement(equal: EqualFLOPs) -> str:
    """The runs that could be the lowest, as far as the evaluations around these FLOPs tell."""
    lowest, *others = equal.losses
    unsure = [at.run.label for at in others if min(at.losses) <= max(lowest.losses)]
    if not unsure or not any(at.interpolated for at in equal.losses):
        return ""
    return (
        f"Whether {lowest.run.label} or {join(unsure)} is lower depends on the interpolation: their losses at the "
        "evaluations before and after overlap. Evaluate more often to tell (eval_steps)."
    )


def schedule_statement(equal: EqualFLOPs) -> str:
    """The runs that went on after these FLOPs, so that their learning rate was not that of an end."""
    early = [
        at
        for at in equal.losses
        if at.step < (1 - NEAR_THE_END) * float(at.run.arguments.get("max_steps") or 0)
        and not str(at.run.arguments.get("lr_scheduler_type", "")).startswith("constant")
    ]
    if not early or len(early) == len(equal.losses):
        return ""
    parts = [f"{at.run.label} (step {at.step:,.0f} of {at.run.arguments['max_steps']:,})" for at in early]
    return (
        f"In the middle of the learning-rate schedule at these FLOPs: {join(parts)}. That is a disadvantage beside a "
        "run at its end; a run whose max_steps is that step would tell how large."
    )


def arm_statements(equal: EqualFLOPs) -> list[str]:
    """What the seeds show of each two arms, with test, number of runs and interval."""
    pairs = equal.arms * (equal.arms - 1) // 2
    sentences = [arm_statement(each) for each in equal.differences]
    if equal.arms == 1:
        sentences.append("These runs are of one arm: they differ in their seed alone.")
    elif not sentences:
        sentences.append(
            "One run an arm compares checkpoints, not methods: not enough runs to say which method is better. It "
            "takes at least two seeds, the same in both arms."
        )
    elif len(sentences) < pairs:
        sentences.append("Of the other pairs of arms: not enough runs to say, fewer than two seeds in common.")
    return sentences


def arm_statement(difference: ArmDifference) -> str:
    """The paired difference of two arms, and which is lower if it is significant."""
    (one, other), found = difference.arms, difference.comparison
    lower = one if found.mean < 0 else other
    shown = f"the arm of {lower} is lower" if difference.p < SIGNIFICANT else "no difference is shown"
    return (
        f"{one} minus {other} at equal FLOPs, paired by {plural(len(found.differences), 'seed')}: {found.mean:+.3f} "
        f"nats a token [{found.low:+.3f}, {found.high:+.3f}], paired t test, p = {difference.p:.3f} (Holm over the "
        f"pairs of arms): {shown}."
    )
