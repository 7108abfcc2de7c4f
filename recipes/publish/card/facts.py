"""What is known of a run from its files; nothing of it is computed anew."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open

from ....trainers.runs.files import ARGUMENTS_FILE, RESULTS_FILE
from ....trainers.runs.json_files import read_json
from ....trainers.runs.learning_dynamics import load_dynamics
from ..queue import WEIGHTS, Entry


@dataclass(frozen=True)
class RunFacts:
    """A checkpoint and its run.

    Attributes:
        step: of the weights.
        final: whether training had ended.
        config: config.json.
        parameters: numbers in the weights, without the head of the episodes.
        arguments: of the run; empty where it left none.
        metrics: rows of metrics.jsonl.
        results: results.json; empty before it was written.
        ner: results of fine-tuning in subfolders of the run, by folder; of a tagger, its own under "".
        dynamics: tidy rows (see `load_dynamics`), None where nothing was measured.
    """

    step: int
    final: bool
    config: dict[str, Any]
    parameters: int
    arguments: dict[str, Any]
    metrics: list[dict[str, Any]]
    results: dict[str, Any]
    ner: dict[str, dict[str, Any]]
    dynamics: pd.DataFrame | None

    @classmethod
    def of_entry(cls, entry: Entry, weights_step: int | None = None) -> "RunFacts":
        """Read what an entry of the queue has frozen.

        Args:
            entry: of the queue.
            weights_step: step of the weights that the card is about, where they are not the entry's.
        """
        run, checkpoint = entry.state / "run", entry.state
        results = read_json(run / RESULTS_FILE) if (run / RESULTS_FILE).exists() else {}
        ner = {path.parent.name: read_json(path) for path in sorted(run.glob(f"*/{RESULTS_FILE}"))}
        if "treebank" in results:
            ner, results = {"": results}, {}
        try:
            dynamics = load_dynamics(run if (run / "learning_dynamics.jsonl").exists() else checkpoint)
        except FileNotFoundError:
            dynamics = None
        step = entry.step if weights_step is None else weights_step
        if step != entry.step:
            results = {}  # which are those of the last weights
        return cls(
            step,
            entry.final,
            read_json(checkpoint / "config.json"),
            count_parameters(checkpoint),
            read_json(run / ARGUMENTS_FILE) if (run / ARGUMENTS_FILE).exists() else {},
            read_metrics(run / "metrics.jsonl"),
            results,
            {name: result for name, result in ner.items() if "scores" in result},
            dynamics,
        )

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of a metric that was logged."""
        return curve_of(self.metrics, name)

    def newest(self, name: str) -> float | None:
        """The last value of a metric at or before the step, None where there is none."""
        values = [value for step, value in zip(*self.curve(name), strict=True) if step <= self.step]
        return values[-1] if values else None


def curve_of(metrics: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of a metric that was logged."""
    rows = [row for row in metrics if name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def held_out_loss(entry: Entry) -> float | None:
    """The held-out next-token loss of an entry's step (nats a token), None where none was measured."""
    losses = [
        row["eval_next_token_loss"]
        for row in read_metrics(entry.state / "run" / "metrics.jsonl")
        if "eval_next_token_loss" in row and row["step"] == entry.step
    ]
    return losses[-1] if losses else None


def count_parameters(checkpoint: Path) -> int:
    """Numbers in a checkpoint's weights, from the headers alone."""
    total = 0
    for path in checkpoint.glob(WEIGHTS):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (safetensors' file is no dictionary)
                if not name.startswith("meta_head."):
                    total += prod(file.get_slice(name).get_shape())
    return total
