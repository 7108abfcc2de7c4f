"""Tables as files: CSV for programs, LaTeX for papers."""

from pathlib import Path

import pandas as pd

from ...trainers.runs.charts import CHARTS
from ...trainers.runs.reader import AXES, RunData


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """A table as NAME.csv and NAME.tex; what cannot be given is "n/a"."""
    folder.mkdir(exist_ok=True)
    numbered = isinstance(table.index, pd.RangeIndex)
    table.to_csv(folder / f"{name}.csv", na_rep="n/a", index=not numbered)
    latex = table.to_latex(na_rep="n/a", float_format="{:.4g}".format, index=not numbered, escape=True)
    (folder / f"{name}.tex").write_text(latex)


def curve_table(runs: list[RunData]) -> pd.DataFrame:
    """Every logged value that a chart shows: columns `run`, `metric`, those of `AXES`, and `value`."""
    parts = [
        run.curve(series.metric).assign(run=run.label, metric=series.metric)
        for run in runs
        for chart in CHARTS
        for series in chart.series
    ]
    columns = ["run", "metric", *AXES, "value"]
    parts = [part[columns] for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
