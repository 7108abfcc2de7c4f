"""Time the report's page, and weigh it, as runs and their logged rows become more."""

import contextlib
import io
import json
import math
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from ..report import command as report

# Runs, logged rows of each, and measurements of its learning dynamics.
SIZES = (
    (1, 1_000, 0),
    (1, 10_000, 0),
    (1, 100_000, 0),
    (10, 1_000, 0),
    (10, 10_000, 0),
    (10, 100_000, 0),
    (1, 1_000, 20),
    (1, 1_000, 80),
)
# Of the runs with learning dynamics.
LAYERS, MODULES = 4, ("attention.v_proj", "attention.o_proj", "swiglu.w_2")


def measure_page(rounds: int, sizes: tuple[tuple[int, int, int], ...] = SIZES) -> dict[str, Any]:
    """CPU seconds and bytes of the page of so many runs, with so many logs and measurements of the dynamics each."""
    seconds: dict[str, list[float]] = {}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {each: write_runs(Path(temporary), *each) for each in sizes}
        for _ in range(rounds):
            for (runs, rows, measurements), paths in folders.items():
                name = f"{runs} {'run' if runs == 1 else 'runs'}, {rows:,} logs each"
                name += f" and {measurements} of dynamics" if measurements else ""
                began = time.process_time()
                page = write_page(paths, Path(temporary, "out", name))
                seconds.setdefault(name, []).append(time.process_time() - began)
                size[name] = page.stat().st_size
    return {"cpu_seconds": {name: median(runs) for name, runs in seconds.items()}, "bytes": size, "rounds": seconds}


def write_page(runs: list[Path], output: Path) -> Path:
    """The report's page of runs, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return report.main([*map(str, runs), "--output", str(output)])


def write_runs(folder: Path, runs: int, rows: int, measurements: int = 0) -> list[Path]:
    """Folders of runs that never were, with so many logs and measurements of the learning dynamics each."""
    paths = [folder / f"{runs}-{rows}-{measurements}" / f"run-{number}" for number in range(runs)]
    for number, path in enumerate(paths):
        path.mkdir(parents=True)
        draw = random.Random(number)
        arguments = {"max_steps": 10 * rows, "hybrid_ratio": 0.5, "seed": number, "block_size": 128}
        (path / "arguments.json").write_text(json.dumps(arguments))
        with (path / "metrics.jsonl").open("w") as file:
            for step in range(10, 10 * rows + 1, 10):
                file.write(json.dumps(_log(step, 10 * rows, draw)) + "\n")
        with (path / "learning_dynamics.jsonl").open("w") as file:
            for step in range(0, 10 * rows, 10 * rows // (measurements or 1)) if measurements else ():
                file.write(json.dumps(_measurement(step, 10 * rows, draw)) + "\n")
    return paths


def _log(step: int, last: int, draw: random.Random) -> dict[str, float]:
    loss = 4 + 4 * math.exp(-8 * step / last)
    names = (
        "query_loss",
        "query_accuracy",
        "query_accuracy_before",
        "support_accuracy",
        "adaptation_gain",
        "grad_norm",
    )
    return {
        "next_token_loss": loss + draw.gauss(0, 0.02),
        **{name: 0.3 + draw.gauss(0, 0.02) for name in names},
        "learning_rate": 1e-3 * (1 - step / last),
        "tokens_seen": 4096 * step,
        "next_token_tokens": 4096 * step,
        "episodes": step,
        "tokens_per_second": 8000.0,
        "training_cpu_seconds": 0.5 * step,
        "other_cpu_seconds": 7.0,
        "step": step,
    }


def _measurement(step: int, last: int, draw: random.Random) -> dict[str, Any]:
    shares = ("proportional_effective_rank", "activation_proportional_effective_rank", "cka")
    names: list[dict[str, Any]] = [{"quantity": name, "module": module} for name in shares for module in MODULES]
    for objective in ("next_token", "query"):
        names += [{"quantity": shares[0], "objective": objective, "module": module} for module in MODULES]
    names += [{"quantity": "attention_entropy_normalised", "head": head} for head in range(4)]
    falling = 0.9 - 0.5 * step / last
    rows = [
        {**name, "layer": layer, "value": falling + draw.gauss(0, 0.01)} for name in names for layer in range(LAYERS)
    ]
    return {"step": step, "tokens": 4096 * step, "rows": rows}
