"""Tables as files."""

from pathlib import Path

import pandas as pd


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """A table as NAME.csv and NAME.tex; what cannot be given is "n/a"."""
    folder.mkdir(exist_ok=True)
    numbered = isinstance(table.index, pd.RangeIndex)
    table.to_csv(folder / f"{name}.csv", na_rep="n/a", index=not numbered)
    latex = table.to_latex(na_rep="n/a", float_format="{:.4g}".format, index=not numbered, escape=True)
    (folder / f"{name}.tex").write_text(latex)
