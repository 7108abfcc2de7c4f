"""Held-out loss of runs at equal FLOPs, interpolated between their evaluations and never beyond them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ....trainers.runs.reader import RunData
from ....trainers.statistics import Comparison, compare_pairs, holm

LOSS = "eval_next_token_loss"
# Arguments in which runs of one arm may differ.
NOT_OF_THE_ARM = {"seed", "data_seed", "output_dir", "run_name", "resume", "resume_from", "console", "report_to"}


@dataclass(frozen=True)
class LossAt:
    """Held-out loss of a run at a number of FLOPs, linear in FLOPs between the evaluations around it."""

    run: RunData
    loss: float
    step: float  #: the run's step at these FLOPs
    steps: tuple[int, int]  #: of the evaluations before and after; the same twice where it was evaluated there
    losses: tuple[float, float]  #: at these evaluations

    @property
    def interpolated(self) -> bool:
        """True unless the run was evaluated at these FLOPs."""
        return self.steps[0] != self.steps[1]


@dataclass(frozen=True)
class ArmDifference:
    """Loss of one arm minus that of another, paired by seed, and its p adjusted for all pairs of arms (Holm)."""

    arms: tuple[str, str]
    comparison: Comparison
    p: float


@dataclass(frozen=True)
class EqualFLOPs:
    """Runs at the most FLOPs that each of them has used up to an evaluation."""

    flops: float
    losses: tuple[LossAt, ...]  #: at least two, the lowest first
    left_out: tuple[str, ...]  #: labels of runs whose FLOPs or evaluations do not allow a comparison
    arms: int  #: number of arms
    differences: tuple[ArmDifference, ...]  #: of every two arms that have at least two seeds in common

    @property
    def table(self) -> pd.DataFrame:
        """A row a run: its loss, and the evaluations that it was interpolated between."""
        columns = ["run", "FLOPs", "held-out loss", "step", "step before", "loss before", "step after", "loss after"]
        rows = [
            (at.run.label, self.flops, at.loss, at.step, at.steps[0], at.losses[0], at.steps[1], at.losses[1])
            for at in self.losses
        ]
        return pd.DataFrame(rows, columns=columns)


def at_equal_flops(runs: Sequence[RunData]) -> EqualFLOPs | None:
    """Compare runs at equal FLOPs; None when fewer than two can be compared."""
    evaluated = {run.label: evaluations(run) for run in runs}
    ends = [curve["flops"].max() for curve in evaluated.values() if len(curve) and curve["flops"].max() > 0]
    if not ends:
        return None
    flops = float(min(ends))
    losses = [at for run in runs if (at := loss_at(run, evaluated[run.label], flops)) is not None]
    compared = {at.run.label for at in losses}
    left_out = tuple(run.label for run in runs if run.label not in compared)
    if len(losses) < 2:
        return None
    arms = arms_of(losses)
    ordered = tuple(sorted(losses, key=lambda at: at.loss))
    return EqualFLOPs(flops, ordered, left_out, len(arms), tuple(differences_of(arms)))


def evaluations(run: RunData) -> pd.DataFrame:
    """The held-out losses of a run at known FLOPs."""
    return run.curve(LOSS).dropna(subset=["flops"])


def loss_at(run: RunData, curve: pd.DataFrame, flops: float) -> LossAt | None:
    """The loss at a number of FLOPs; None outside of the evaluations."""
    x, y, steps = (curve[name].to_numpy(float) for name in ("flops", "value", "step"))
    if not len(x) or not x[0] <= flops <= x[-1]:
        return None
    before = after = int(np.abs(x - flops).argmin())
    if not np.isclose(x[after], flops, rtol=1e-9):
        after = int(np.searchsorted(x, flops))
        before = after - 1
    loss, step = (float(np.interp(flops, x, values)) for values in (y, steps))
    return LossAt(run, loss, step, (int(steps[before]), int(steps[after])), (float(y[before]), float(y[after])))


def arms_of(losses: Sequence[LossAt]) -> list[dict[Any, LossAt]]:
    """The losses of each arm by seed; runs of one arm differ in `NOT_OF_THE_ARM` alone."""
    arms: dict[str, dict[Any, LossAt]] = {}
    for at in losses:
        method = {name: value for name, value in at.run.arguments.items() if name not in NOT_OF_THE_ARM}
        arms.setdefault(repr(sorted(method.items())), {})[at.run.arguments.get("seed")] = at
    return list(arms.values())


def differences_of(arms: Sequence[dict[Any, LossAt]]) -> list[ArmDifference]:
    """The difference of every two arms that have at least two seeds in common."""
    found = []
    for one, other in combinations(arms, 2):
        seeds = [seed for seed in one if seed in other]
        if len(seeds) > 1:
            first, second = ([arm[seed] for seed in seeds] for arm in (one, other))
            names = tuple(" + ".join(at.run.label for at in arm) for arm in (first, second))
            found.append((names, compare_pairs([at.loss for at in first], [at.loss for at in second])))
    adjusted = holm([comparison.p for _, comparison in found])
    return [ArmDifference((a, b), comparison, p) for ((a, b), comparison), p in zip(found, adjusted, strict=True)]
