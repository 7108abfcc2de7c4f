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

# Runs, and logged rows of each.
SIZES = ((1, 1_000), (1, 10_000), (1, 100_000), (10, 1_000), (10, 10_000))


def measure_page(rounds: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Any]:
    """CPU seconds and bytes of the page of so many runs with so many logs each, without learning dynamics."""
    seconds: dict[str, list[float]] = {}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {pair: write_runs(Path(temporary), *pair) for pair in sizes}
        for _ in range(rounds):
            for (runs, rows), paths in folders.items():
                name = f"{runs} {'run' if runs == 1 else 'runs'}, {rows:,} logs each"
                began = time.process_time()
                page = write_page(paths, Path(temporary, "out", f"{runs}-{rows}"))
                seconds.setdefault(name, []).append(time.process_time() - began)
                size[name] = page.stat().st_size
    return {"cpu_seconds": {name: median(runs) for name, runs in seconds.items()}, "bytes": size, "rounds": seconds}


def write_page(runs: list[Path], output: Path) -> Path:
    """The report's page of runs, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return report.main([*map(str, runs), "--output", str(output)])


def write_runs(folder: Path, runs: int, rows: int) -> list[Path]:
    """Folders of runs that never were, with so many logs each."""
    paths = [folder / f"{runs}-{rows}" / f"run-{number}" for number in range(runs)]
    for number, path in enumerate(paths):
        path.mkdir(parents=True)
        draw = random.Random(number)
        arguments = {"max_steps": 10 * rows, "hybrid_ratio": 0.5, "seed": number, "block_size": 128}
        (path / "arguments.json").write_text(json.dumps(arguments))
        with (path / "metrics.jsonl").open("w") as file:
            for step in range(10, 10 * rows + 1, 10):
                file.write(json.dumps(_log(step, 10 * rows, draw)) + "\n")
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
