"""Time tasks in turn within one run, and compare them."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

Tasks = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Timing:
    """Seconds of one run of a task: wall clock, and CPU time of all threads."""

    wall: float
    cpu: float


def timed(task: Callable[[], Any]) -> Timing:
    """Run a task once."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def in_turn(tasks: Tasks, rounds: int) -> dict[str, list[Timing]]:
    """Time all tasks in turn, `rounds` times after a warm-up round, so that noise hits all of them alike."""
    for task in tasks.values():
        task()
    timings: dict[str, list[Timing]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            timings[name].append(timed(task))
    return timings


def ratio(timings: dict[str, list[Timing]], name: str, base: str) -> dict[str, Any]:
    """Time of one task over that of another in the same round: median and quartiles over rounds."""
    pairs = list(zip(timings[name], timings[base], strict=True))
    return {
        "what": name,
        "of": base,
        "wall": median(a.wall / b.wall for a, b in pairs),
        "wall_quartiles": quartiles([a.wall / b.wall for a, b in pairs]),
        "cpu": median(a.cpu / b.cpu for a, b in pairs),
        "cpu_quartiles": quartiles([a.cpu / b.cpu for a, b in pairs]),
    }


def quartiles(values: list[float]) -> list[float]:
    """First and third quartile."""
    values = sorted(values)
    return [values[len(values) // 4], values[(3 * len(values)) // 4]]


def report(timings: dict[str, list[Timing]], base: str) -> dict[str, Any]:
    """Median seconds of each task, ratios to `base`, and (wall, CPU) seconds of every round."""
    return {
        "seconds": {name: median(timing.wall for timing in runs) for name, runs in timings.items()},
        "cpu_seconds": {name: median(timing.cpu for timing in runs) for name, runs in timings.items()},
        "ratios": [ratio(timings, name, base) for name in timings if name != base],
        "rounds": {name: [[timing.wall, timing.cpu] for timing in runs] for name, runs in timings.items()},
    }


def table(title: str, timings: dict[str, Any]) -> str:
    """A report as text, one line a task."""
    lines = [f"{title:46}{'seconds':>9}{'CPU':>9}{'ratio':>9}{'middle half':>16}{'ratio, CPU':>12}"]
    ratios = {entry["what"]: entry for entry in timings["ratios"]}
    for name, seconds in timings["seconds"].items():
        line = f"{name:46}{seconds:9.4f}{timings['cpu_seconds'][name]:9.4f}"
        if name in ratios:
            low, high = ratios[name]["wall_quartiles"]
            line += f"{ratios[name]['wall']:9.3f}{f'{low:.3f}..{high:.3f}':>16}{ratios[name]['cpu']:12.3f}"
        lines.append(line)
    return "\n".join(lines)


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
