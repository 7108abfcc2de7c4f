"""The one reader of a run's folder, for the report, model cards and trackers: finished, in training, or broken off."""

import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cost import ARCHITECTURE, Cost, cost_of
from ..errors import InputError
from .files import ARGUMENTS_FILE, DYNAMICS_FILE, METRICS_FILE, RESULTS_FILE
from .json_files import JsonLines, read_json
from .learning_dynamics import DTYPES, load_dynamics

# The units that runs are compared over, and their names on the page. `compute_seconds` are those of training alone.
AXES = {
    "step": "steps",
    "tokens": "tokens seen",
    "next_token_tokens": "next-token tokens",
    "flops": "FLOPs",
    "compute_seconds": "CPU or GPU seconds",
    "seconds": "wall-clock seconds",
}
# The unit of `compute_seconds` by the metric that they are read from; a run logs one of the two.
COMPUTE_UNITS = {"training_cpu_seconds": "CPU", "training_gpu_seconds": "GPU"}
# Cumulative counts of a training log and of final results.
COUNTS = ("tokens_seen", "next_token_tokens", "episodes")
# Lines of metrics.jsonl that are held as Python's own numbers, ten times as large as a table's.
LINES_AT_ONCE = 10_000
# A run without final results counts as training when its last log is no older than this.
STILL_TRAINING_SECONDS = 600


@dataclass
class RunData:
    """Everything a run has logged so far."""

    label: str  #: the run's name in the report, different for every run
    path: Path
    metrics: pd.DataFrame  #: metrics.jsonl, one row a log, with the columns of `AXES` (NaN where unknown)
    dynamics: pd.DataFrame  #: rows of `load_dynamics` with the columns of `AXES`; empty when nothing was measured
    results: dict[str, Any]  #: results.json; empty before the run has finished
    arguments: dict[str, Any]  #: arguments.json; empty when it is missing
    ner: dict[str, dict[str, Any]]  #: results.json of NER fine-tuning, by subfolder; a tagger's own under ""
    few_shot: dict[str, dict[str, Any]]  #: the same of few-shot training
    cost: Cost | None  #: FLOPs of a token and of an episode; None when the arguments do not determine them
    status: str  #: `finished`, `training` or `stopped`
    notes: list[str] = field(default_factory=list)  #: files and lines that were missing or could not be read
    #: cache of the report's `dynamics.curves`
    dynamics_curves: dict[Any, dict[tuple[str, int], pd.DataFrame]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The last logged step."""
        return int(self.metrics["step"].max()) if len(self.metrics) else 0

    @property
    def compute_unit(self) -> str:
        """`CPU` or `GPU`, the unit of `compute_seconds`; empty when none were logged."""
        return next((unit for name, unit in COMPUTE_UNITS.items() if name in self.metrics), "")

    def curve(self, name: str) -> pd.DataFrame:
        """One metric over training, with the columns of `AXES` and `value`; the later of two logs of a step counts."""
        if name not in self.metrics:
            return pd.DataFrame(columns=[*AXES, "value"], dtype=float)
        rows = self.metrics[[*AXES]].assign(value=self.metrics[name]).dropna(subset=["value"])
        return rows.drop_duplicates("step", keep="last").sort_values("step")

    def last(self, name: str, until: float = np.inf) -> float:
        """The last value of a metric that was logged at or before step `until`; NaN when there is none."""
        curve = self.curve(name)
        values = curve["value"][curve["step"] <= until]
        return float(values.iloc[-1]) if len(values) else np.nan


def load_runs(folders: list[str]) -> list[RunData]:
    """Read runs and give each its own label; raise InputError for no folder, one given twice, or one without a run."""
    if not folders:
        raise InputError("no run given: name one or more folders of pretraining runs")
    paths = [Path(folder) for folder in folders]
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise InputError(f"{folders[i]} is given twice: name it once")
        check_run(paths[i])
    runs = [load_run(path, label) for path, label in zip(paths, labels(resolved), strict=True)]
    for run in runs:
        join_parent(run, runs)
    return runs


def join_parent(run: RunData, runs: list[RunData]) -> None:
    """Let the curves of a branch begin where its parent's were, if that is among the runs."""
    if (checkpoint := run.arguments.get("branch_from")) is None:
        return
    step, parent = run.arguments["branch"]["step"], Path(checkpoint).resolve().parent
    run.dynamics = run.dynamics[run.dynamics["step"] >= step]
    for other in runs:
        before = other.metrics[other.metrics["step"] <= step]
        if other.path.resolve() == parent and len(before):
            # The last value of each metric, where the branch leaves.
            run.metrics = pd.concat([before.ffill().tail(1), run.metrics], ignore_index=True)


def labels(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that differ from each other."""
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        ends = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(ends)) == len(ends):
            return ends
    return [str(path) for path in paths]


def load_run(path: Path, label: str, checkpoint: Path | None = None) -> RunData:
    """Read a run's folder, or a frozen copy of it; learning dynamics it lacks are read from `checkpoint`."""
    notes: list[str] = []
    arguments = read_object(path / ARGUMENTS_FILE, notes)
    results = read_object(path / RESULTS_FILE, notes)
    notes += text_notes(arguments)
    metrics = read_metrics(path / METRICS_FILE, notes)
    cost = cost_of(arguments, tokens_per_step(metrics))
    if ARCHITECTURE in arguments:
        notes.append(f"FLOPs unknown: the formula counts Pico models, not {arguments[ARCHITECTURE]}")
    elif cost is None:
        notes.append("FLOPs unknown: arguments.json lacks the shape of the model or the episodes")
    if "tokens_seen" in metrics and not set(COMPUTE_UNITS) & set(metrics):
        notes.append("CPU or GPU seconds unknown: an earlier version, which did not log them, began the run")
    add_axes(metrics, cost, results)
    dynamics = read_dynamics(path, checkpoint, metrics, notes)
    ner, few_shot = read_ner(path, results)
    state = status(path / METRICS_FILE, results)
    return RunData(label, path, metrics, dynamics, results, arguments, ner, few_shot, cost, state, notes)


def text_notes(arguments: dict[str, Any]) -> list[str]:
    """What qualifies the held-out figures: an earlier run of the weights, or the text a series was measured on."""
    if arguments.get("branch_from"):
        changes = arguments["branch"]["changed"].items()
        pairs = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changes) or "nothing changed"
        return [f"branch of {arguments['branch_from']}: {pairs}"]
    if arguments.get("init_from"):
        return [f"held-out text is what this run held out; it started from the weights of {arguments['init_from']}"]
    if "revisions" not in arguments:  # a run, not a series of checkpoints
        return []
    text = arguments.get("text") or {"name": arguments.get("dataset"), "relation": "training text unknown"}
    return [f"measured on {text['name']}: {text['relation']}"]


def check_run(path: Path) -> None:
    """Raise InputError when a folder is not a run; the message names runs in its subfolders."""
    if (path / METRICS_FILE).is_file() or (path / ARGUMENTS_FILE).is_file():
        return
    if not path.is_dir():
        raise InputError(f"{path} is not a folder: name the output_dir of a pretraining run")
    below = sorted(str(metrics.parent) for metrics in path.glob(f"*/{METRICS_FILE}"))
    hint = f"did you mean {' '.join(below[:4])}?" if below else "name the output_dir of a pretraining run"
    raise InputError(f"{path} is not a run, it has no {METRICS_FILE}: {hint}")


def status(metrics: Path, results: dict[str, Any]) -> str:
    """`finished` with final results, otherwise `training` or `stopped` by the age of metrics.jsonl."""
    if "steps" in results:
        return "finished"
    recent = metrics.exists() and time.time() - metrics.stat().st_mtime < STILL_TRAINING_SECONDS
    return "training" if recent else "stopped"


def read_ner(path: Path, results: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Results of NER fine-tuning and of few-shot training in a run's subfolders; the folder's own results under ""."""
    below = {file.parent.name: read_object(file, []) for file in sorted(path.glob(f"*/{RESULTS_FILE}"))}
    every = {"": results} | below
    return (
        {name: each for name, each in every.items() if "treebank" in each and isinstance(each.get("scores"), dict)},
        {name: each for name, each in every.items() if "few_shot_treebank" in each},
    )


def read_object(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON object; empty, with a note, when it is missing or cannot be read."""
    try:
        return read_json(path)
    except (InputError, OSError):
        notes.append(f"{path.name} is {'unreadable' if path.exists() else 'missing'}")
        return {}


def read_metrics(path: Path, notes: list[str]) -> pd.DataFrame:
    """The numbers in metrics.jsonl by step, with a note of how many lines could not be read."""
    lines, parts, dropped = iter(JsonLines(path)), [], 0
    while rows := list(islice(lines, LINES_AT_ONCE)):
        good = [
            {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
            | {"step": row["step"]}
            for row in rows
            if row is not None
        ]
        if good:
            parts.append(pd.DataFrame(good))
        dropped += len(rows) - len(good)
    if dropped:
        notes.append(f"{dropped} {'line' if dropped == 1 else 'lines'} of {path.name} could not be read")
    frame = pd.concat(parts or [pd.DataFrame({"step": np.empty(0)})])
    if frame.empty:
        notes.append(f"{path.name} holds no log yet")
    return frame.replace([np.inf, -np.inf], np.nan).sort_values("step", kind="stable", ignore_index=True)


def tokens_per_step(metrics: pd.DataFrame) -> float:
    """Tokens of an optimizer step over all processes; NaN when none were logged."""
    if "tokens_seen" not in metrics:
        return float("nan")
    logs = metrics.dropna(subset=["tokens_seen"]).query("step > 0")
    return float((logs["tokens_seen"] / logs["step"]).iloc[-1]) if len(logs) else float("nan")


def interpolate(steps: pd.Series, known: pd.DataFrame, name: str) -> np.ndarray:
    """A quantity that is 0 at step 0, at other steps than it is known at; NaN after the last known one."""
    known = known.dropna(subset=[name])
    if known.empty:
        return np.full(len(steps), np.nan)
    return np.interp(steps, np.append(0.0, known["step"]), np.append(0.0, known[name]), right=np.nan)


def add_axes(metrics: pd.DataFrame, cost: Cost | None, results: dict[str, Any]) -> None:
    """Add the columns of `AXES`, for evaluations interpolated between the training logs around them.

    A run may end some steps after its last training log: its final counts are those of `results`, and its seconds
    those of the last log at the average pace.
    """
    columns = [*COUNTS, "tokens_per_second"]
    logs = metrics.reindex(columns=["step", *columns, *COMPUTE_UNITS]).dropna(subset=columns, how="all")
    logs = logs.dropna(subset=metrics.columns.intersection(columns)).drop_duplicates("step", keep="last").astype(float)
    if len(logs) and results.get("steps", 0) > logs["step"].iloc[-1] > 0 and results.keys() >= set(COUNTS):
        end = logs.iloc[-1].copy()
        end[[*COMPUTE_UNITS]] *= results["steps"] / end["step"]
        end[["step", *COUNTS]] = [results[name] for name in ("steps", *COUNTS)]
        logs.loc[len(metrics)] = end

    speed = logs["tokens_per_second"].where(logs["tokens_per_second"] > 0)
    new_tokens = np.diff(logs["tokens_seen"], prepend=0.0)
    logs["tokens"] = logs["tokens_seen"]
    logs["flops"] = cost.total(logs["next_token_tokens"].to_numpy(), logs["episodes"].to_numpy()) if cost else np.nan
    logs["compute_seconds"] = logs[[*COMPUTE_UNITS]].bfill(axis=1).iloc[:, 0]
    logs["seconds"] = (new_tokens / speed).cumsum(skipna=False)
    for axis in AXES:
        if axis != "step":
            metrics[axis] = interpolate(metrics["step"], logs, axis)


def read_dynamics(path: Path, checkpoint: Path | None, metrics: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The learning dynamics with the columns of `AXES`, read from the checkpoint when the run has no file."""
    interpolated = [axis for axis in AXES if axis not in DTYPES]
    try:
        rows = load_dynamics(path if checkpoint is None or (path / DYNAMICS_FILE).exists() else checkpoint)
    except FileNotFoundError:
        notes.append("no learning dynamics were measured")
        return pd.DataFrame(columns=[*DTYPES, *interpolated])
    for axis in interpolated:
        rows[axis] = interpolate(rows["step"], metrics.drop_duplicates("step"), axis)
    return rows
