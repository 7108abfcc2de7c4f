"""What was measured of a run, and what it spent, read from its folder."""

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ....trainers.compute_clock import COUNTING, SAMPLING
from ....trainers.runs.files import RESULTS_FILE
from ....trainers.runs.json_files import read_json
from ....trainers.runs.reader import load_run
from .entities import entity_counts, f1

EVALUATION_FILE = "evaluation.json"
# Metrics of the time that episodes took to draw; a run logs one of them.
SAMPLING_SECONDS = ("sampling_cpu_seconds", "sampling_gpu_seconds")
PACKAGES = ("pico-maml", "torch", "transformers", "accelerate", "datasets", "numpy", "scipy", "statsmodels")


def read_result(path: Path, rate: float, few_shot_treebanks: list[str]) -> dict[str, Any]:
    """What was measured of a run: the values of all measures, what it spent, and the versions that made it.

    `rate` is that of the control, FLOPs a second, at which drawing episodes and making word classes are charged.
    """
    results, evaluation = read_json(path / RESULTS_FILE), read_json(path / EVALUATION_FILE)
    values, within = evaluation_values(evaluation)
    run = load_run(path, path.name)
    sampling = next(name for name in SAMPLING_SECONDS if name in run.metrics)
    last = run.metrics.dropna(subset=[sampling]).iloc[-1]
    counting = last.get(sampling.replace(SAMPLING, COUNTING), 0.0)
    assert run.cost is not None  # the plan is made of it
    flops = run.cost.total(*(np.array([results[name]]) for name in ("next_token_tokens", "episodes")))[0]
    # The last log may lie some steps before the end.
    whole = results["steps"] / last["step"]
    return {
        "steps": results["steps"],
        "values": values | f1(entity_counts(path, few_shot_treebanks)),
        "within": within,
        "spent": {
            "flops": float(flops + rate * (last[sampling] * whole + counting)),
            "tokens": results["tokens_seen"],
            "next_token_tokens": results["next_token_tokens"],
            "seconds": float((last["compute_seconds"] - counting) * whole + counting),
        },
        "versions": {name: version(name) for name in PACKAGES},
    }


def evaluation_values(evaluation: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """The measures that `evaluate` takes of any model, and those that are compared within an arm only."""
    values = {"loss": evaluation["next_token_loss"]}
    values |= {
        f"loss/{name}": math.log(source["perplexity"]) for name, source in evaluation.get("sources", {}).items()
    }
    for adaptation in evaluation.get("adaptation", [])[:1]:
        values |= {"prototypes": adaptation["prototypes"]["mean"], "fresh_head": adaptation["fresh"][-1]["mean"]}
        if adaptation["trained"]:
            return values, {"trained_head": adaptation["trained"][-1]["mean"]}
    return values, {}
