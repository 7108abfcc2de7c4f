"""The report's section on few-shot NER, where runs have such results: F1 over mentions of each class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...trainers.ner.analysis.figures import few_shot_curves
from ...trainers.runs.reader import RunData
from .palette import LIGHT


def few_shot_table(runs: list[RunData]) -> pd.DataFrame:
    """A row for each run (`label`), treebank, test set, method and K, with the 95 % t interval over draws."""
    rows = [
        {"label": run.label, "treebank": results["few_shot_treebank"], **row}
        for run in runs
        for results in run.few_shot.values()
        for row in results["curve"]
    ]
    return pd.DataFrame(rows).rename(columns={"low": "draws_low", "high": "draws_high"})


def few_shot_figure(table: pd.DataFrame) -> Figure:
    """The curves; a single run an arm has no interval over pretraining seeds."""
    return few_shot_curves(table.assign(low=np.nan, high=np.nan), LIGHT)
