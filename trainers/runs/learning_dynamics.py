"""learning_dynamics.jsonl: what is measured of a model while it trains, as tidy rows that grow step by step.

Each line is one JSON object, `{"step", "tokens", "rows": [{"quantity", "value", ...}, ...]}`, appended and flushed at
once; a row leaves out what has its default, and a value that is no finite number is null. `load_dynamics` reads it,
and the same rows as a checkpoint keeps them (`learning_dynamics/curves.parquet`, which pandas reads in one line).
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .files import DYNAMICS_FILE
from .json_files import JsonLines

DYNAMICS_FOLDER = "learning_dynamics"
CURVES_FILE = "curves.parquet"


class Row(NamedTuple):
    """One measured value.

    Attributes:
        quantity: what it is: `effective_rank`, `attention_entropy` (nats), `perplexity`, ...
        value: NaN where it is not defined.
        objective: `next_token` or `query` for what belongs to one loss alone, `sum` for a shared gradient.
        module: the module's name within its layer, such as `attention.v_proj`.
        layer: counted from 0; -1 where there is none.
        head: the attention head, counted from 0; -1 where there is none.
        source: the text that was measured on, where there are several.
    """

    quantity: str
    value: float
    objective: str = ""
    module: str = ""
    layer: int = -1
    head: int = -1
    source: str = ""


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
    """The learning_dynamics.jsonl of one run, written by its main process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = JsonLines(path)

    def append(self, step: int, tokens: int, rows: Iterable[Row]) -> None:
        """Write what was measured after `step` optimizer steps and `tokens` tokens; without rows, no line."""
        if written := [_as_json(row) for row in rows]:
            self.lines.append({"step": step, "tokens": tokens, "rows": written})

    def save(self, folder: Path) -> None:
        """Write the rows so far to `folder`/curves.parquet."""
        folder.mkdir(parents=True, exist_ok=True)
        _table(self.path).to_parquet(folder / CURVES_FILE, index=False)

    def restore(self, folder: Path) -> None:
        """Write the file from `folder`/curves.parquet."""
        for (step, tokens), rows in load_dynamics(folder).groupby(["step", "tokens"]):
            self.append(int(step), int(tokens), [Row(**row) for row in rows[list(Row._fields)].to_dict("records")])


def load_dynamics(folder: str | Path) -> pd.DataFrame:
    """The measured values of a run or of a checkpoint, one a row.

    Args:
        folder: a run's folder (which may still be growing, or have been cut off in the middle of a line), a
            checkpoint's, or the `learning_dynamics` folder in one.

    Returns:
        Columns `step`, `tokens` (int), `quantity`, `objective`, `module` (str), `layer`, `head` (int, -1 for none),
        `source` (str), `value` (float, NaN where it is not defined); see `Row`. Rows are in the order of their steps.

    Raises:
        FileNotFoundError: there are no such files.
    """
    folder = Path(folder)
    if (folder / DYNAMICS_FILE).exists():
        return _table(folder / DYNAMICS_FILE)
    for path in (folder / DYNAMICS_FOLDER / CURVES_FILE, folder / CURVES_FILE):
        if path.exists():
            return pd.read_parquet(path).astype(DTYPES)[list(DTYPES)]
    raise FileNotFoundError(
        f"no learning dynamics in {folder}: neither {DYNAMICS_FILE} nor {DYNAMICS_FOLDER}/{CURVES_FILE}; "
        "the run measured none, or another folder is meant"
    )


def _as_json(row: Row) -> dict:
    fields = {name: value for name, value in row._asdict().items() if value != Row._field_defaults.get(name)}
    return fields | {"value": row.value if math.isfinite(row.value) else None}


def _table(path: Path) -> pd.DataFrame:
    rows = [
        {"step": line["step"], "tokens": line["tokens"], **Row._field_defaults, **row}
        for line in JsonLines(path).read()[0]
        for row in line["rows"]
    ]
    return (
        pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES).sort_values("step", kind="stable", ignore_index=True)
    )
