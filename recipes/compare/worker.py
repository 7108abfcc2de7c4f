"""A worker of a study: claims a free run, pretrains it, measures the model, writes the result, and goes on."""

import math
import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ...trainers.runs.files import ARGUMENTS_FILE, RESULTS_FILE
from ...trainers.runs.json_files import read_json
from ...trainers.runs.reader import load_run
from ...trainers.runs.sweep_folder import SweepFolder
from ...trainers.runs.work_folder import WorkFolder
from ..arguments.parser import parse
from .arguments import CompareArguments
from .budget import SAMPLING_SECONDS, StepCost, run_arguments, steps_of_run
from .process import run_command
from .study import Run, Study, sweep_arguments

EVALUATION_FILE = "evaluation.json"
PLAN_FILE = "plan.json"
PACKAGES = ("pico-maml", "torch", "transformers", "accelerate", "datasets", "numpy", "scipy", "statsmodels")


def work(argv: list[str]) -> None:
    """Do the runs of the study with this command line that no other worker does, until none is left."""
    (args,) = parse((CompareArguments,), argv, prog="compare")
    study, folder = Study.of(args), WorkFolder(Path(args.output_dir))
    plan = read_json(folder.path / PLAN_FILE)

    def say(result: dict[str, Any]) -> str:
        left = sum(not folder.finished(run) and not folder.failed(run) for run in study.runs())
        mean = float(np.mean([done["seconds"] for done in [*folder.results(), result]]))
        hours = left * mean / args.workers / 3600
        return f"loss {result['values']['loss']:.4f}, {left} runs left, about {hours:.2f} h"

    def attempt(run: Run) -> bool:
        return folder.attempt(run, args.stale_after, partial(execute, run, study, folder.path, plan), say)

    # Again after every run that was done: the owner of a claim may have died in the meantime.
    while any(attempt(run) for run in study.runs()):
        pass


def execute(run: Run, study: Study, folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Pretrain, evaluate and fine-tune, as far as that is not done yet; returns the content of the result file."""
    args, path, log = study.args, folder / "runs" / run.name, folder / "logs" / f"{run.name}.log"
    costs = {name: StepCost(**cost) for name, cost in plan["costs"].items()}
    steps, control = steps_of_run(study, costs, run), costs[study.control.name]
    if not (path / RESULTS_FILE).exists():
        resume = ["--resume"] if (path / ARGUMENTS_FILE).exists() else []
        argv = [*run_arguments(study, study.arms[run.arm], run.seed, steps, path), *resume]
        run_command("pretrain", argv, log, args.processes)
    if not (path / EVALUATION_FILE).exists():
        argv = ["--model", str(path), "--output_file", str(path / EVALUATION_FILE), *study.evaluation()]
        run_command("evaluate", argv, log)
    if study.ner:
        run_command("sweep", sweep_arguments(study.ner, f"model/run={path}", str(path / "ner")), log)
        shutil.rmtree(SweepFolder(path / "ner").features, ignore_errors=True)
    return read_result(path, control.flops / control.seconds)


def read_result(path: Path, rate: float) -> dict[str, Any]:
    """What was measured of a run: the values of all measures, what it spent, and the versions that made it.

    `rate` is that of the control, FLOPs a second, at which drawing episodes is charged.
    """
    results, evaluation = read_json(path / RESULTS_FILE), read_json(path / EVALUATION_FILE)
    values = {"loss": evaluation["next_token_loss"]}
    values |= {
        f"loss/{name}": math.log(source["perplexity"]) for name, source in evaluation.get("sources", {}).items()
    }
    within = {}
    for adaptation in evaluation.get("adaptation", [])[:1]:
        values |= {"prototypes": adaptation["prototypes"]["mean"], "fresh_head": adaptation["fresh"][-1]["mean"]}
        if adaptation["trained"]:
            within = {"trained_head": adaptation["trained"][-1]["mean"]}
    run = load_run(path, path.name)
    sampling = next(name for name in SAMPLING_SECONDS if name in run.metrics)
    last = run.metrics.dropna(subset=[sampling]).iloc[-1]
    assert run.cost is not None  # the plan is made of it
    flops = run.cost.total(*(np.array([results[name]]) for name in ("next_token_tokens", "episodes")))[0]
    # The last log may lie some steps before the end.
    whole = results["steps"] / last["step"]
    return {
        "steps": results["steps"],
        "values": values | ner_scores(SweepFolder(path / "ner").results()),
        "within": within,
        "spent": {
            "flops": float(flops + rate * last[sampling] * whole),
            "tokens": results["tokens_seen"],
            "next_token_tokens": results["next_token_tokens"],
            "seconds": float(last["compute_seconds"] * whole),
        },
        "versions": {name: version(name) for name in PACKAGES},
    }


def ner_scores(results: list[dict[str, Any]]) -> dict[str, float]:
    """F1 by measure, the mean over fine-tuning seeds."""
    scores: dict[str, list[float]] = {}
    for result in results:
        for test, score in result["scores"].items():
            names = {f"ner/{result['mode']}/{result['train_on']}/{test}"}
            if test == result["train_on"]:
                names.add(f"ner/{result['mode']}/{test}")
            for name in names:
                scores.setdefault(name, []).append(score["f1"])
    return {name: sum(values) / len(values) for name, values in scores.items()}
