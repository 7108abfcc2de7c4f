"""How time and memory grow with each size that a user chooses, and the exponent of both.

python -m pico_maml.recipes.benchmark.growth width 384 3    # CPU seconds and peak bytes of one size, 3 rounds
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch

from ...modeling_pico import PicoConfig, PicoForCausalLM
from .episodes import Setting
from .page import write_page, write_runs
from .preparation import PREPARED, preparation_tasks
from .shapes import Shape, zipf_text
from .steps import peak_bytes, training_step
from .timing import in_turn

Job = Callable[[], Any]
TINY = {"d_model": 96, "n_layers": 4, "vocab_size": 8192, "rows": 2, "block_size": 256}


@dataclass(frozen=True)
class Factor:
    """A size with the values at which it is measured, and the job of one value; a folder takes what jobs write."""

    what: str
    values: tuple[int, ...]
    job: Callable[[int, Path], Job]


def _step(**changes: int) -> Job:
    """A training step of a small decoder with changed sizes."""
    sizes = TINY | changes
    rows, block_size = sizes.pop("rows"), sizes.pop("block_size")
    config = PicoConfig.from_size("tiny", max_seq_len=block_size, activation_hidden_dim=4 * sizes["d_model"], **sizes)
    return training_step(PicoForCausalLM(config), zipf_text(rows, block_size + 1, config.vocab_size))


def _episode(ways: int = 32, shots: int = 4) -> Job:
    """An episode of the tiny decoder with its sampling, forward and backward."""
    setting = Setting(Shape.parse("tiny:4x256"), TINY["vocab_size"], 32, ways, shots)
    return lambda: setting.step(episode=setting.sample(), dropout_seed=0)


def _page(folder: Path, runs: int, rows: int = 1000, measurements: int = 0) -> Job:
    paths = write_runs(folder, runs, rows, measurements)
    return lambda: write_page(paths, folder / "page")


def _prepare(folder: Path, copies: int) -> Job:
    return preparation_tasks(folder, copies)[PREPARED]


FACTORS = {
    "width": Factor("d_model of a step", (96, 192, 384, 768), lambda value, _: _step(d_model=value)),
    "depth": Factor("layers of a step", (3, 6, 12, 24), lambda value, _: _step(n_layers=value)),
    "block": Factor("tokens of one row", (512, 1024, 2048, 4096), lambda value, _: _step(rows=1, block_size=value)),
    "rows": Factor("rows of a step", (2, 4, 8, 16), lambda value, _: _step(rows=value)),
    "vocabulary": Factor(
        "vocabulary of a step", (16_384, 32_768, 65_536, 131_072), lambda value, _: _step(vocab_size=value)
    ),
    "ways": Factor("words of an episode", (8, 16, 32, 64), lambda value, _: _episode(ways=value)),
    "shots": Factor("shots of an episode", (1, 2, 4, 8), lambda value, _: _episode(shots=value)),
    "runs": Factor("runs on a page, 1,000 logs each", (2, 4, 8, 16), lambda value, folder: _page(folder, value)),
    "logs": Factor("logs of a run on a page", (1_000, 10_000, 100_000), lambda value, folder: _page(folder, 1, value)),
    "measurements": Factor(
        "measurements of the dynamics on a page",
        (20, 40, 80, 160),
        lambda value, folder: _page(folder, 1, 1000, value),
    ),
    "documents": Factor("copies of the prose to prepare", (1, 2, 4, 8), lambda value, folder: _prepare(folder, value)),
}


def measure_growth(rounds: int, factors: Sequence[str] = tuple(FACTORS)) -> dict[str, Any]:
    """Measure each factor at each of its values in a process of its own, Linux only.

    Returns:
        For each factor its `values`, `cpu_seconds` (medians of `rounds`), `peak_bytes` above what the process had
        before, and the exponents `time` and `memory` between the last two values: 1 is proportional, 2 quadratic.
    """
    measured = {}
    for name in factors:
        factor = FACTORS[name]
        sizes = [_in_new_process(name, value, rounds) for value in factor.values]
        seconds, peaks = zip(*sizes, strict=True)
        measured[name] = {
            "what": factor.what,
            "values": list(factor.values),
            "cpu_seconds": list(seconds),
            "peak_bytes": list(peaks),
            "time": exponent(factor.values, seconds),
            "memory": exponent(factor.values, peaks),
        }
    return {"growth": measured}


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """The power with which costs grow between the last two values."""
    return math.log(costs[-1] / costs[-2]) / math.log(values[-1] / values[-2])


def growth_table(growth: dict[str, dict[str, Any]]) -> str:
    """One line a factor: first and last value with their costs, and the exponents."""
    lines = {}
    for name, of in growth.items():
        first, last = ((of["cpu_seconds"][i], of["peak_bytes"][i] / 1e6) for i in (0, -1))
        lines[name] = {
            "from": f"{of['values'][0]:,}",
            "to": f"{of['values'][-1]:,}",
            "CPU seconds": f"{first[0]:.2f} to {last[0]:.2f}",
            "exponent": f"{of['time']:.2f}",
            "peak MB": f"{first[1]:.0f} to {last[1]:.0f}",
            "of memory": f"{of['memory']:.2f}",
        }
    return pd.DataFrame(lines).T.to_string()


def _in_new_process(factor: str, value: int, rounds: int) -> tuple[float, int]:
    command = [sys.executable, "-m", __spec__.name, factor, str(value), str(rounds)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak = json.loads(output.splitlines()[-1])
    return seconds, peak


def _measure(factor: str, value: int, rounds: int) -> tuple[float, int]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        job = FACTORS[factor].job(value, Path(folder))
        before = psutil.Process().memory_info().rss
        timings = in_turn({factor: job}, rounds)[factor]
        return float(pd.Series(timings[:, 1]).median()), peak_bytes() - before


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
