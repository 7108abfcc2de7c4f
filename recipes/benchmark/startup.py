"""Time from a command to its first training step: the demo, and a streamed run resumed early or late."""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from ...trainers import InputError

# Optimizer steps after which the two streamed runs are resumed, and rows a step.
EARLY, LATE, ROWS = 20, 2000, 8
# A model whose steps take milliseconds.
MODEL = dict.fromkeys(("d_model", "activation_hidden_dim", "max_seq_len", "block_size"), 32)
MODEL |= {"n_layers": 1, "attention_n_heads": 2, "attention_n_kv_heads": 1, "vocab_size": 400}
# Files of the stream: the late run resumes tens of files in.
FILES, PARAGRAPHS = 60, 20


def measure_startup(rounds: int, late: int = LATE) -> dict[str, Any]:
    """Time the start of the demo, at first and again, and resuming a streamed run after `EARLY` and `late` steps.

    `seconds` are medians from starting the process to its first log, right before the first step (the demo's held-out
    perplexity) or right after it (a resumed run); `late_beside_early` is the median ratio.
    """
    seconds: dict[str, list[float]] = {"demo at first": [], "demo again": [], "resume early": [], "resume late": []}
    with tempfile.TemporaryDirectory() as folder:
        corpus = _write_corpus(Path(folder))
        runs = {name: Path(folder, name) for name in ("early", "late")}
        streamed = {**MODEL, "streaming": True, "dataset": corpus, "eval_episodes": 0, "hybrid_ratio": 0.0}
        streamed |= {"per_device_train_batch_size": ROWS, "eval_steps": 10**6, "dynamics_steps": 0}
        for run, steps in zip(runs.values(), (EARLY, late), strict=True):
            first_log(streamed | {"output_dir": run, "max_steps": steps, "logging_steps": steps, "save_steps": steps})
        for i in range(1, rounds + 1):
            for name in ("demo at first", "demo again"):
                demo = {
                    "config": "demo",
                    "max_steps": 1,
                    "eval_episodes": 0,
                    "output_dir": Path(folder, f"{name} {i}"),
                }
                seconds[name].append(first_log(demo, Path(folder, f"cache {i}")))
            for (name, run), steps in zip(runs.items(), (EARLY, late), strict=True):
                more = {"output_dir": run, "max_steps": steps + i, "resume": True, "logging_steps": 1}
                seconds[f"resume {name}"].append(first_log(streamed | more))
    pairs = zip(seconds["resume late"], seconds["resume early"], strict=True)
    return {
        "seconds": {name: median(values) for name, values in seconds.items()},
        "rounds": seconds,
        "late_beside_early": median(late / early for late, early in pairs),
    }


def first_log(options: dict[str, Any], cache: Path | None = None) -> float:
    """Seconds until the first log of a pretraining process; `cache` replaces the user's cache of `datasets`.

    Raises:
        InputError: the process failed; ends with its last line.
    """
    arguments = [f"--{name}={value}" for name, value in {**options, "console": "json"}.items()]
    command = [sys.executable, "-m", "pico_maml.recipes.pretrain", *arguments]
    environment = os.environ | ({} if cache is None else {"HF_DATASETS_CACHE": str(cache)})
    began = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.communicate()
        errors.seek(0)
        message = errors.read().strip().splitlines()
    if process.returncode or not line:
        raise InputError(f"a run of the benchmark failed: {message[-1] if message else 'it printed nothing'}")
    return seconds


def _write_corpus(folder: Path) -> Path:
    draw = random.Random(0)
    words = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]
    corpus = folder / "corpus"
    corpus.mkdir()
    for i in range(FILES):
        paragraphs = [" ".join(draw.choices(words, k=300)) + " ." for _ in range(PARAGRAPHS)]
        (corpus / f"{i:03}.txt").write_text("\n\n".join(paragraphs))
    return corpus
