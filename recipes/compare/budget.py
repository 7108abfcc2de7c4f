"""Equal compute: what a step of each arm costs, and how many steps of it fit the budget."""

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...trainers import InputError
from ...trainers.compute_clock import COUNTING, SAMPLING
from ...trainers.cost import Cost, cost_of
from ...trainers.episodes import episode_generator, has_episode
from ...trainers.meta.gradient_share import measurements
from ...trainers.runs.reader import load_run
from ..pretrain.arguments import PretrainArguments
from .arguments import CompareArguments
from .follow_up_cost import FollowUpCost, measure_follow_up
from .process import CommandFailed, run_command
from .results.run_result import SAMPLING_SECONDS
from .study import Arm, Run, Study

# The first steps fill caches and allocate memory.
WARM_UP_STEPS = 5
# Arguments of a run that are counted in steps and scaled to those that an arm gets.
SCALED = ("warmup_steps", "query_loss_warmup_steps", "lr_schedule_steps", "lr_decay_steps")


@dataclass(frozen=True)
class StepCost:
    """What a step of an arm costs on average.

    Attributes:
        flops: matrix products by formula, and the seconds of `sampling_seconds` at the control's rate of FLOPs.
        tokens: read from the corpus.
        next_token_tokens: of these, for next-token prediction.
        seconds: CPU or GPU seconds, all included.
        sampling_seconds: of these, for drawing episodes.
        disk: bytes of a run's folder.
        once_seconds: CPU or GPU seconds of a run before its first step, for word classes or the embedding's start.
        once_flops: these at the control's rate of FLOPs, and the measurements of `episode_gradient_share`.
    """

    flops: float
    tokens: float
    next_token_tokens: float
    seconds: float
    sampling_seconds: float
    disk: int
    once_seconds: float = 0.0
    once_flops: float = 0.0

    def once(self, unit: str) -> float:
        """What a run spends of a unit of budget before its first step."""
        return {"flops": self.once_flops, "seconds": self.once_seconds}.get(unit, 0.0)


def measure(study: Study, beside: Path) -> tuple[dict[str, StepCost], FollowUpCost]:
    """Train every arm for a few steps and evaluate the control, in a temporary folder `beside` the study's.

    As many arms at a time as there are workers, which is how the runs will be; in a SLURM job one after another.
    What is wrong with an arm's arguments or data ends here, before anything of the study is written.

    Raises:
        InputError: an arm cannot be trained.
    """
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".measure.", dir=beside) as folder:
        with ThreadPoolExecutor(1 if study.args.launcher == "slurm" else study.args.workers) as pool:
            measured = pool.map(lambda arm: _measure(arm, study.args, Path(folder)), study.arms.values())
            costs = dict(zip(study.arms, measured, strict=True))
        control = costs[study.control.name]
        rate = control.flops / max(control.seconds - control.sampling_seconds, 1e-9)
        follow_up = measure_follow_up(study, Path(folder) / study.control.name, rate)
    steps = study.control.arguments().training.max_steps
    for name, cost in costs.items():
        once = cost.once_seconds * rate + gradient_measurements(study.arms[name], cost.tokens, steps)
        costs[name] = replace(cost, flops=cost.flops + cost.sampling_seconds * rate, once_flops=once)
    return costs, follow_up


def _measure(arm: Arm, args: CompareArguments, folder: Path) -> StepCost:
    path, steps = folder / arm.name, args.measured_steps
    short = {
        "max_steps": steps,
        "seed": args.seeds[0],
        "eval_steps": steps,
        "save_steps": steps,
        "logging_steps": 1,
        "logging_first_step": True,
        "dynamics_steps": 0,
        "eval_episodes": 0,
        "output_dir": path,
        "console": "json",
    }
    argv = [*arm.argv, *(f"--{name}={value}" for name, value in short.items())]
    try:
        run_command("pretrain", argv, folder / f"{arm.name}.log", args.processes)
    except CommandFailed as error:
        raise InputError(f"arm {arm.name!r} cannot be trained: {error.last}") from error
    run, training = load_run(path, arm.name), arm.arguments().training
    sampling = next(name for name in SAMPLING_SECONDS if name in run.metrics)
    logs = run.metrics.dropna(subset=[sampling])
    first, last = logs[logs["step"] == WARM_UP_STEPS].iloc[0], logs.iloc[-1]
    tokens, next_token_tokens, flops = expected(arm, float(last["tokens_seen"] / last["step"]))

    def a_step(name: str) -> float:
        return float((last[name] - first[name]) / (last["step"] - first["step"]))

    # Per episode that the few steps happened to draw, for as many as are expected.
    drawn = last["episodes"] + last["episodes_skipped"] - first["episodes"] - first["episodes_skipped"]
    expected_draws = (last["step"] - first["step"]) * training.gradient_accumulation_steps * training.hybrid_ratio
    draws = expected_draws / drawn if drawn else 1.0
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    once = float(last.get(sampling.replace(SAMPLING, COUNTING), 0.0))
    return StepCost(flops, tokens, next_token_tokens, a_step("compute_seconds"), draws * a_step(sampling), disk, once)


def expected(arm: Arm, tokens: float) -> tuple[float, float, float]:
    """Tokens, next-token tokens and FLOPs that a step with so many `tokens` takes on average.

    Which micro-batches have an episode is drawn by seed; over a run the share is close to `hybrid_ratio`.
    """
    args = arm.arguments()
    ratio = args.training.hybrid_ratio
    next_token_tokens = tokens * (1 - ratio if args.training.hybrid_mode == "replace" else 1)
    cost = _formula(args, tokens, arm.name)
    return (
        tokens,
        next_token_tokens,
        cost.token * next_token_tokens + cost.episode * ratio * (args.training.gradient_accumulation_steps),
    )


def gradient_measurements(arm: Arm, tokens: float, steps: int) -> float:
    """FLOPs of the measurements for `episode_gradient_share` in a run of so many steps with so many `tokens` each."""
    args = arm.arguments()
    if not args.training.episode_gradient_share:
        return 0.0
    cost = _formula(args, tokens, arm.name)
    return measurements(steps) * (cost.token * tokens / args.training.gradient_accumulation_steps + cost.episode)


def steps_of_run(study: Study, costs: dict[str, StepCost], run: Run) -> int:
    """The most steps of a run whose cost is within its share of the budget, given which micro-batches have episodes.

    Which do is known beforehand from the seed. Episodes that are skipped for want of words count as drawn. With the
    budgets `tokens` and `seconds` the average step is all that is known, and all that differs.

    Raises:
        InputError: not one step fits.
    """
    control, cost = costs[study.control.name], costs[run.arm]
    limit = run.share * _whole(study, control, study.control.arguments().training.max_steps) * (1 + 1e-9)
    limit -= cost.once(study.args.budget)
    args, a_step = study.arms[run.arm].arguments(), _unit(cost, study)
    ratio, micro_batches = args.training.hybrid_ratio, args.training.gradient_accumulation_steps
    if study.args.budget in ("tokens", "seconds") or ratio in (0, 1):
        return math.floor(limit / a_step)
    plain = cost.tokens / micro_batches
    if study.args.budget == "flops":
        plain *= _formula(args, cost.tokens, run.arm).token
    drawn = (a_step / micro_batches - plain * (1 - ratio)) / ratio
    steps, used = -1, 0.0
    while used <= limit:
        steps += 1
        generators = [episode_generator(run.seed, steps, i) for i in range(micro_batches)]
        used += sum(drawn if has_episode(generator, ratio) else plain for generator in generators)
    if steps < 1:
        raise InputError(
            f"run {run.name}: not one step with the episodes that its seed draws fits the budget of {limit:.3g} "
            f"{study.args.budget}: raise max_steps of arm {study.control.name!r} or the smallest of budgets"
        )
    return steps


def _formula(args: PretrainArguments, tokens: float, arm: str) -> Cost:
    cost = cost_of(args.saved(), tokens)
    if cost is None:
        raise InputError(f"arm {arm!r}: the FLOPs of its model are not known: the formula counts Pico models")
    return cost


def fit(study: Study, costs: dict[str, StepCost]) -> dict[str, dict[float, int]]:
    """Average steps of every arm for every share of the budget; the control's own steps are the whole of it.

    Raises:
        InputError: the control has no max_steps, or an arm cannot fit its budget.
    """
    steps = study.control.arguments().training.max_steps
    if steps < 1:
        raise InputError(f"arm {study.control.name!r} sets the budget: it needs max_steps, got {steps}")
    whole = _whole(study, costs[study.control.name], steps)
    plan: dict[str, dict[float, int]] = {}
    for name, cost in costs.items():
        a_step = _unit(cost, study)
        if a_step <= 0:
            raise InputError(f"arm {name!r} uses no {study.args.budget}: choose another budget")
        once = cost.once(study.args.budget)
        plan[name] = {share: math.floor((share * whole - once) / a_step + 1e-9) for share in study.args.budgets}
        if min(plan[name].values()) < 1:
            raise InputError(f"arm {name!r}: not one step fits the budget of {whole:.3g} {study.args.budget}")
    for run in study.runs():
        ratio = study.arms[run.arm].arguments().training.hybrid_ratio
        # A step costs at most the average divided by the rarer kind's share, so longer runs have one that fits.
        if 0 < ratio < 1 and plan[run.arm][run.share] <= 1 / min(ratio, 1 - ratio):
            steps_of_run(study, costs, run)
    return plan


def _whole(study: Study, control: StepCost, steps: int) -> float:
    """The whole budget, which is what the control spends in its steps."""
    return steps * _unit(control, study) + control.once(study.args.budget)


def _unit(cost: StepCost, study: Study) -> float:
    return float(getattr(cost, study.args.budget))


def run_arguments(study: Study, arm: Arm, seed: int, steps: int, output_dir: Path) -> list[str]:
    """Arguments of `pretrain` for a run of so many steps, its schedule scaled to them."""
    args = arm.arguments()
    own: dict[str, Any] = {"max_steps": steps, "seed": seed, "output_dir": output_dir}
    designed = study.control.arguments().training.max_steps
    for name in SCALED:
        if (value := getattr(args.training, name)) > 1:
            own[name] = round(value * steps / designed)
    for name in ("eval_steps", "save_steps"):
        # An evaluation and a checkpoint at the end, whatever the number of steps.
        if value := getattr(args.training, name):
            own[name] = max(1, round(value * steps / designed)) if value > 1 else value
    return [*arm.argv, *(f"--{name}={value}" for name, value in own.items())]
