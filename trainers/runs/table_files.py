"""Tables as files: CSV for programs, LaTeX for papers."""

from pathlib import Path

import pandas as pd


def write_table(folder: Path, name: str, table: pd.DataFrame, number_format: str = "{:.4g}") -> None:
    """Write a table to NAME.csv and, with its floats in `number_format`, to NAME.tex; missing values are "n/a"."""
    folder.mkdir(exist_ok=True)
    index = not isinstance(table.index, pd.RangeIndex)
    table.to_csv(folder / f"{name}.csv", na_rep="n/a", index=index)
    latex = table.to_latex(na_rep="n/a", float_format=number_format.format, index=index, escape=True)
    (folder / f"{name}.tex").write_text(latex)
