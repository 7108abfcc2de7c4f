"""learning_dynamics.jsonl: what is measured of a model during training, as tidy rows.

Each line is one JSON object, `{"step", "tokens", "rows": [{"quantity", "value", ...}, ...]}`; a row omits fields that
have their default, and a value that is not finite is null. A line of scores on a task also has the name of the `task`
and a description of its `content`. A checkpoint holds the same rows in `learning_dynamics/curves.parquet`.
`load_dynamics` reads both.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .files import CURVES_FILE, DYNAMICS_FILE, DYNAMICS_FOLDER
from .json_files import JsonLines

# Ends the name of a quantity that is the standard error of another one.
STANDARD_ERROR = "_standard_error"


class Row(NamedTuple):
    """One measured value."""

    quantity: str  #: `effective_rank`, `attention_entropy` (nats), `perplexity`, ...
    value: float  #: NaN if undefined
    objective: str = ""  #: `next_token` or `query` for a quantity of one loss, `sum` for a shared gradient
    module: str = ""  #: the module's name within its layer, such as `attention.v_proj`
    layer: int = -1  #: from 0; -1 for a quantity of the whole model
    head: int = -1  #: the attention head, from 0; -1 for a quantity of the whole layer
    source: str = ""  #: the text it was measured on, if there are several; of a score the task, or `task/group`


DTYPES = {
    "step": "int64",
    "tokens": "int64",
    "quantity": "str",
    "objective": "str",
    "module": "str",
    "layer": "int64",
    "head": "int64",
    "source": "str",
    "value": "float64",
}


class DynamicsFile:
    """The learning dynamics of one run; only its main process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = JsonLines(path)

    def append(self, step: int, tokens: int, rows: Iterable[Row], **record: str) -> None:
        """Write what was measured after `step` optimizer steps and `tokens` tokens; no line if there are no rows.

        `record` is written beside the rows: `task` and `content` of scores.
        """
        if entries := [_as_json(row) for row in rows]:
            self.lines.append({"step": step, "tokens": tokens, "rows": entries} | record)

    def measured(self) -> set[int]:
        """The steps that have more than scores on tasks."""
        return {entry["step"] for entry in _whole_entries(self.lines) if "task" not in entry}

    def scored(self) -> dict[tuple[int, str], str]:
        """The content of each task that a step was scored on, by step and name of the task."""
        return {
            (entry["step"], entry["task"]): entry["content"] for entry in _whole_entries(self.lines) if "task" in entry
        }

    def save(self, folder: Path) -> None:
        """Write all rows to `folder`/curves.parquet."""
        folder.mkdir(parents=True, exist_ok=True)
        _table(self.path).to_parquet(folder / CURVES_FILE, index=False)

    def restore(self, folder: Path) -> None:
        """Append the rows of `folder`/curves.parquet."""
        for (step, tokens), rows in load_dynamics(folder).groupby(["step", "tokens"]):
            self.append(int(step), int(tokens), [Row(**row) for row in rows[list(Row._fields)].to_dict("records")])


def load_dynamics(folder: str | Path) -> pd.DataFrame:
    """The measured values of a run or of a checkpoint, one per row, in the order of their steps.

    Columns are `step` and `tokens` (int), and the fields of `Row`. `folder` is a run, a checkpoint, or the
    `learning_dynamics` folder of a checkpoint; without any learning dynamics it raises FileNotFoundError.
    """
    folder = Path(folder)
    if (folder / DYNAMICS_FILE).exists():
        return _table(folder / DYNAMICS_FILE)
    for path in (folder / DYNAMICS_FOLDER / CURVES_FILE, folder / CURVES_FILE):
        if path.exists():
            return pd.read_parquet(path).astype(DTYPES)[list(DTYPES)]
    raise FileNotFoundError(
        f"no learning dynamics in {folder}: neither {DYNAMICS_FILE} nor {DYNAMICS_FOLDER}/{CURVES_FILE}; "
        "name another folder, or train with dynamics_steps above 0"
    )


def _as_json(row: Row) -> dict:
    fields = {name: value for name, value in row._asdict().items() if value != Row._field_defaults.get(name)}
    return fields | {"value": row.value if math.isfinite(row.value) else None}


def _is_whole(entry: dict[str, Any]) -> bool:
    """False for a damaged line that is JSON still."""
    rows = entry.get("rows")
    if not isinstance(entry.get("tokens"), int) or not isinstance(rows, list):
        return False
    return all(isinstance(row, dict) and {"quantity", "value"} <= row.keys() for row in rows)


def _whole_entries(lines: JsonLines) -> list[dict[str, Any]]:
    return [entry for entry in lines.read()[0] if _is_whole(entry)]


def _table(path: Path) -> pd.DataFrame:
    rows = [
        {"step": entry["step"], "tokens": entry["tokens"], **Row._field_defaults, **row}
        for entry in _whole_entries(JsonLines(path))
        for row in entry["rows"]
    ]
    table = pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)
    return table.sort_values("step", kind="stable", ignore_index=True)
