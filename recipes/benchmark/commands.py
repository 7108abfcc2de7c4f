"""Time what every command does before its work: imports, help, and arguments that are wrong."""

import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from .timing import report

LLAMA = "import transformers' LLaMA"
COMMANDS = {
    LLAMA: ["-c", "from transformers import LlamaForCausalLM"],
    "import pico_maml": ["-c", "import pico_maml"],
    "pretrain --help": ["-m", "pico_maml.recipes.pretrain", "--help"],
    "an unknown argument": ["-m", "pico_maml.recipes.pretrain", "--stepz", "3"],
}


def measure_commands(rounds: int) -> dict[str, Any]:
    """Time each command in a process of its own, in turn, beside importing LLaMA; CPU seconds are of all threads."""
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(1 + rounds):
        for name, arguments in COMMANDS.items():
            timed[name].append(_time(arguments))
    # The first round compiles and fills caches.
    return report({name: np.array(runs[1:]) for name, runs in timed.items()}, LLAMA)


def _time(arguments: list[str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a Python process."""
    before, began = _children(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True)
    return time.perf_counter() - began, _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
