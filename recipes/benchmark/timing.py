"""Time tasks in turn within one run, and compare them."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

Tasks = dict[str, Callable[[], Any]]


def in_turn(tasks: Tasks, rounds: int) -> dict[str, np.ndarray]:
    """(R, 2) wall-clock and CPU seconds of each task in R rounds, which follow one to warm up.

    A round runs every task once, so that noise hits all of them alike. CPU seconds are those of all threads.
    """
    timings: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(1 + rounds):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            timings[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: np.array(runs[1:]) for name, runs in timings.items()}


def ratio(timings: dict[str, np.ndarray], name: str, base: str) -> dict[str, Any]:
    """Time of one task over that of another in the same round: median and quartiles over rounds."""
    ratios = np.sort(timings[name] / timings[base], axis=0)
    wall, cpu = np.median(ratios, axis=0).tolist()
    wall_quartiles, cpu_quartiles = ratios[[len(ratios) // 4, 3 * len(ratios) // 4]].T.tolist()
    quartiles = {"wall_quartiles": wall_quartiles, "cpu_quartiles": cpu_quartiles}
    return {"what": name, "of": base, "wall": wall, "cpu": cpu, **quartiles}


def report(timings: dict[str, np.ndarray], base: str) -> dict[str, Any]:
    """Median seconds of each task, ratios to `base`, and (wall, CPU) seconds of every round."""
    medians = {name: np.median(runs, axis=0).tolist() for name, runs in timings.items()}
    return {
        "seconds": {name: wall for name, (wall, _) in medians.items()},
        "cpu_seconds": {name: cpu for name, (_, cpu) in medians.items()},
        "ratios": [ratio(timings, name, base) for name in timings if name != base],
        "rounds": {name: runs.tolist() for name, runs in timings.items()},
    }


def table(timings: dict[str, Any]) -> str:
    """A report as text, one line a task."""
    ratios = {
        entry["what"]: {
            "ratio": entry["wall"],
            "middle half": "{:.3f}..{:.3f}".format(*entry["wall_quartiles"]),
            "ratio, CPU": entry["cpu"],
        }
        for entry in timings["ratios"]
    }
    seconds = pd.DataFrame({"seconds": timings["seconds"], "CPU": timings["cpu_seconds"]})
    return seconds.join(pd.DataFrame(ratios).T).to_string(float_format="{:.4f}".format, na_rep="")


def machine() -> dict[str, Any]:
    """Hardware and library versions of this machine."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    models = [line for line in text.splitlines() if "model name" in line]
    return {
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16_in_hardware": "avx512_bf16" in text or "amx_bf16" in text,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "pico-maml")},
    }
