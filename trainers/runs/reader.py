"""A run's folder as the report sees it: finished, still training, or cut off anywhere."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cost import Cost, cost_of
from ..errors import InputError
from .folder import ARGUMENTS_FILE, RESULTS_FILE
from .learning_dynamics import load_dynamics
from .safety.safe_trainer import METRICS_FILE

# The units that runs are compared over, and how the page calls them.
AXES = {"step": "steps", "tokens": "tokens", "flops": "FLOPs", "seconds": "wall-clock"}
# A run without its final results that wrote this recently is taken to be training.
STILL_TRAINING_SECONDS = 600


@dataclass
class RunData:
    """What one run left so far.

    Attributes:
        label: its name in the report, different for every run.
        path: its folder.
        metrics: a row a log, with the columns of `AXES` (NaN where unknown) and whatever was logged.
        dynamics: tidy rows of `load_dynamics` with the columns of `AXES`; empty where nothing was measured.
        results: results.json, as far as it is written.
        arguments: arguments.json, empty where it is missing.
        cost: FLOPs of its parts, None where the arguments do not tell.
        status: `finished`, `training` or `stopped`.
        notes: what was missing or could not be read.
        dynamics_curves: those that were asked for already; see `dynamics.curves`.
    """

    label: str
    path: Path
    metrics: pd.DataFrame
    dynamics: pd.DataFrame
    results: dict[str, Any]
    arguments: dict[str, Any]
    cost: Cost | None
    status: str
    notes: list[str] = field(default_factory=list)
    dynamics_curves: dict[Any, dict[tuple[str, int], pd.DataFrame]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The last step that was logged."""
        return int(self.metrics["step"].max()) if len(self.metrics) else 0

    def curve(self, name: str) -> pd.DataFrame:
        """One logged metric: columns of `AXES` and `value`, by step; the later of two logs of a step counts."""
        if name not in self.metrics:
            return pd.DataFrame(columns=[*AXES, "value"], dtype=float)
        rows = self.metrics[[*AXES, name]].dropna(subset=[name]).rename(columns={name: "value"})
        return rows.drop_duplicates("step", keep="last").sort_values("step")

    def last(self, name: str) -> float:
        """The last logged value of a metric; NaN where there is none."""
        curve = self.curve(name)
        return float(curve["value"].iloc[-1]) if len(curve) else float("nan")


def load_runs(folders: list[str]) -> list[RunData]:
    """Read runs, each under a name of its own.

    Raises:
        InputError: no folder given, one twice, or a folder that is no run.
    """
    if not folders:
        raise InputError("no run given: name one or more folders of runs, each with its metrics.jsonl")
    paths = [Path(folder) for folder in folders]
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise InputError(f"{folders[i]} is given twice: leave one out")
    return [load_run(path, label) for path, label in zip(paths, labels(resolved), strict=True)]


def labels(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        ends = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(ends)) == len(ends):
            return ends
    return [str(path) for path in paths]


def load_run(path: Path, label: str) -> RunData:
    """Read one run, and note what is not there.

    Raises:
        InputError: the folder is no run.
    """
    check_run(path)
    notes: list[str] = []
    arguments = read_json(path / ARGUMENTS_FILE, notes)
    results = read_json(path / RESULTS_FILE, notes)
    metrics = read_metrics(path / METRICS_FILE, notes)
    cost = cost_of(arguments, tokens_per_step(metrics))
    if cost is None:
        notes.append("FLOPs unknown: arguments.json does not tell the model's shape and the episodes")
    add_axes(metrics, arguments, cost)
    finished = "steps" in results
    recent = (path / METRICS_FILE).exists() and time.time() - (
        path / METRICS_FILE
    ).stat().st_mtime < STILL_TRAINING_SECONDS
    status = "finished" if finished else "training" if recent else "stopped"
    return RunData(label, path, metrics, read_dynamics(path, metrics, notes), results, arguments, cost, status, notes)


def check_run(path: Path) -> None:
    """Make sure that a folder is a run.

    Raises:
        InputError: it is not (names runs below it, if any).
    """
    if (path / METRICS_FILE).is_file() or (path / ARGUMENTS_FILE).is_file():
        return
    if not path.is_dir():
        raise InputError(f"{path} is no folder: name the output_dir of a pretraining run")
    below = sorted(str(found.parent) for found in path.glob(f"*/{METRICS_FILE}"))
    hint = f"did you mean {' '.join(below[:4])}?" if below else "name the output_dir of a pretraining run"
    raise InputError(f"{path} is no run, it has no {METRICS_FILE}: {hint}")


def read_json(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON object; empty, with a note, where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        notes.append(f"{path.name} is {'missing' if isinstance(error, FileNotFoundError) else 'unreadable'}")
        return {}
    return content if isinstance(content, dict) else {}


def read_metrics(path: Path, notes: list[str]) -> pd.DataFrame:
    """The numbers of metrics.jsonl by step; lines that cannot be read, as one that is being written, are counted."""
    rows, bad = [], 0
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            numbers = {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
            rows.append({**numbers, "step": int(numbers["step"])})
        except (ValueError, AttributeError, KeyError, OverflowError):
            bad += bool(line.strip())
    if bad:
        notes.append(f"{bad} {'line' if bad == 1 else 'lines'} of {path.name} could not be read and are left out")
    if not rows:
        notes.append(f"{path.name} holds no log yet")
    frame = pd.DataFrame(rows or {"step": np.empty(0)}).replace([np.inf, -np.inf], np.nan)
    return frame.sort_values("step", kind="stable", ignore_index=True)


def tokens_per_step(metrics: pd.DataFrame) -> float:
    """Of an optimizer step, over all processes; NaN where no log tells."""
    if "tokens_seen" not in metrics:
        return float("nan")
    logs = metrics.dropna(subset=["tokens_seen"]).query("step > 0")
    return float((logs["tokens_seen"] / logs["step"]).iloc[-1]) if len(logs) else float("nan")


def add_axes(metrics: pd.DataFrame, arguments: dict[str, Any], cost: Cost | None) -> None:
    """Add the columns of `AXES`; evaluations get theirs from the training logs around them."""
    columns = ["tokens_seen", "next_token_tokens", "episodes", "tokens_per_second"]
    known = [name for name in columns if name in metrics]
    logs = (
        metrics.dropna(subset=known)[["step", *known]].drop_duplicates("step", keep="last") if known else metrics[:0]
    )
    step = np.append(0.0, logs["step"].to_numpy(float))

    def at_each(values: np.ndarray) -> np.ndarray:
        """A quantity that is 0 at step 0, from the training logs to all rows; unknown beyond the last of them."""
        if len(values) and not np.isfinite(values).any():
            return np.full(len(metrics), np.nan)
        if not len(values):
            return np.where(metrics["step"] == 0, 0.0, np.nan)
        return np.interp(metrics["step"], step, np.append(0.0, values), right=np.nan)

    unknown = np.full(len(logs), np.nan)
    column = {name: logs[name].to_numpy(float) if name in known else unknown for name in columns}
    seconds = np.diff(column["tokens_seen"], prepend=0.0) / np.where(
        column["tokens_per_second"] > 0, column["tokens_per_second"], np.nan
    )
    metrics["tokens"] = at_each(column["tokens_seen"])
    metrics["seconds"] = at_each(np.cumsum(seconds))
    metrics["flops"] = at_each(
        unknown if cost is None else cost.total(column["next_token_tokens"], column["episodes"])
    )


def read_dynamics(path: Path, metrics: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The learning dynamics, with the axes of the metrics."""
    try:
        rows = load_dynamics(path)
    except FileNotFoundError:
        notes.append("no learning dynamics were measured")
        return pd.DataFrame(columns=["quantity", "objective", "module", "layer", "head", "source", "value", *AXES])
    known = metrics.dropna(subset=["tokens"]).drop_duplicates("step")
    for axis in ("flops", "seconds"):
        rows[axis] = np.interp(rows["step"], known["step"], known[axis], right=np.nan) if len(known) else np.nan
    return rows
