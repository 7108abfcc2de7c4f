"""The paper's tables of fine-tuning results for any runs: pure functions on one long table of scores."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..iob2 import CLASSES
from ..universal_ner import GROUPS, OTHER, TREEBANKS

PUBLISHED = Path(__file__).parents[2] / "data" / "published_ner.csv"
# Below this F1 of the baseline there is no relative improvement.
MINIMUM_BASELINE = 0.01
SIZES = ("tiny", "small", "medium", "large")
RUN = ["size", "pretraining", "pretraining_seed", "mode", "train_on", "seed"]
CELL = ["size", "pretraining", "mode", "train_on", "test"]
# Begins the columns of classes, whose names are the user's.
F1_OF = "F1 of "


def scores_of(results: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each run and test set: the columns of `RUN`, `test`, overall scores, and `F1 of` each class."""
    tests = [
        (result, test, scores)
        for result in results
        for test, scores in result["scores"].items()
        if test != "validation"
    ]
    found = {label for _, _, scores in tests for label in scores["classes"]}
    labels = CLASSES if found <= set(CLASSES) else sorted(found)
    rows = []
    for result, test, scores in tests:
        overall = {name: scores[name] for name in ("f1", "strict_f1", "precision", "recall", "support")}
        # A class without entities in gold and prediction has no F1.
        classes = {F1_OF + label: scores["classes"].get(label, {}).get("f1", np.nan) for label in labels}
        rows.append({**{name: result[name] for name in RUN}, "test": test, **overall, **classes})
    return pd.DataFrame(rows)


def over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for each pretraining run and cell: means over its fine-tuning seeds."""
    values = ["f1", *(name for name in scores if name.startswith(F1_OF))]
    return scores.groupby([*CELL, "pretraining_seed"], sort=False)[values].mean().reset_index()


def seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """F1 of each cell: mean and standard deviation (n - 1) over pretraining runs, and that of fine-tuning in a run."""
    runs = scores.groupby([*CELL, "pretraining_seed"])["f1"].agg(["mean", "std", "count"])
    return runs.groupby(CELL).agg(
        mean=("mean", "mean"),
        std=("mean", "std"),
        runs=("mean", "count"),
        std_of_fine_tuning=("std", "mean"),
        fine_tunings=("count", "sum"),
    )


def relative(baseline: Any, value: Any) -> Any:
    """Improvement in per cent of the baseline, of numbers or tables; NaN below `MINIMUM_BASELINE`."""
    return 100 * (value - baseline) / np.where(baseline >= MINIMUM_BASELINE, baseline, np.nan)


def in_language(scores: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Table 7: F1 on the training treebank's own test set, by size and pretraining."""
    runs = over_seeds(scores)
    own = runs[(runs["train_on"] == runs["test"]) & (runs["mode"] == mode)]
    return _ordered(_ordered(own.pivot_table(index=["size", "pretraining"], columns="test", values="f1")), axis=1)


def in_language_improvement(scores: pd.DataFrame, mode: str, baseline: str, treatment: str) -> pd.DataFrame:
    """Tables 4, 5, 8 and 9: relative improvement on the training treebank's own test set, in per cent, by size."""
    return _improvement(in_language(_paired(scores, baseline, treatment), mode), baseline, treatment)


def group_improvement(scores: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """Table 3: relative improvement by size, mode and group of test sets.

    F1 is averaged over every training treebank and every test set of the group that both pretrainings have, then
    compared: our reading of "averaged across each finetuning dataset".
    """
    members = {test: group for group, tests in GROUPS.items() for test in tests}
    grouped = _paired(scores, baseline, treatment).assign(test=lambda rows: rows["test"].map(members))
    table = grouped.pivot_table(index=["size", "pretraining"], columns=["test", "mode"], values="f1")
    return _improvement(table.reindex(columns=list(GROUPS), level=0), baseline, treatment)


def transfer_improvement(
    scores: pd.DataFrame, baseline: str, treatment: str, train_on: list[str] | None = None
) -> pd.DataFrame:
    """Table 6: relative improvement on the three low-resource test sets, and on their mean, by size and mode.

    Averaged over the training treebanks `train_on` (the paper does not say which), or over all.
    """
    rows = _paired(scores, baseline, treatment)
    rows = rows[rows["test"].isin(OTHER) & (True if train_on is None else rows["train_on"].isin(train_on))]
    table = rows.pivot_table(index=["size", "mode", "pretraining"], columns="test", values="f1")
    table.insert(0, "overall", table.mean(axis=1))
    return _improvement(table, baseline, treatment)


def class_difference(scores: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """Figure 3: F1 of the treatment minus that of the baseline by class, mean over in-language treebanks."""
    own = scores[scores["train_on"] == scores["test"]]
    means = _paired(own, baseline, treatment).groupby(["mode", "size", "pretraining"]).mean(numeric_only=True)
    means = means.filter(regex=f"^{F1_OF}").rename(columns=lambda name: name.removeprefix(F1_OF))
    first, second = _pair(means, baseline, treatment)
    return _ordered(second - first)


def cross_f1(scores: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Appendix C.3: F1 by training treebank (rows) and test set (columns), for each size, pretraining and mode."""
    return {
        model: _ordered(_ordered(rows.pivot_table(index="train_on", columns="test", values="f1")), axis=1)
        for model, rows in over_seeds(scores).groupby(["size", "pretraining", "mode"], sort=False)
    }


def published(number: int) -> pd.DataFrame:
    """Table 3 to 9 of the paper, indexed like ours: by size, and by mode or pretraining if it has them."""
    rows = pd.read_csv(PUBLISHED, comment="#", keep_default_na=False, na_values=[""])
    rows = rows[rows["table"] == number]
    index = {6: ["size", "mode"], 7: ["size", "pretraining"]}.get(number, ["size"])
    columns = ["column", "mode"] if number == 3 else ["column"]
    return rows.pivot_table(index=index, columns=columns, values="value", dropna=False, sort=False).dropna(how="all")


def beside(ours: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Our table and the paper's in one, with every column twice.

    A row that only one of them has is blank in the other. "n/a": not run, or no percentage of so small a baseline.
    """
    sources = {
        name: table.astype(object).where(table.notna(), "n/a") for name, table in (("ours", ours), ("paper", paper))
    }
    joined = pd.concat(sources, axis=1).fillna("")
    names = list(range(1, joined.columns.nlevels))
    joined = joined.reorder_levels([*names, 0], axis=1)
    columns = list(dict.fromkeys(name[:-1] for name in joined.columns))
    order = [(*column, source) for column in columns for source in ("ours", "paper") if (*column, source) in joined]
    return _ordered(joined[order])


def _paired(scores: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """The cells and pretraining seeds that both pretrainings have, so that averages compare the same ones."""
    runs = over_seeds(scores)
    runs = runs[runs["pretraining"].isin([baseline, treatment])]
    names = ["size", "mode", "train_on", "test", "pretraining_seed"]
    return runs[runs.groupby(names)["pretraining"].transform("nunique") == 2]


def _improvement(table: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    return _ordered(relative(*_pair(table, baseline, treatment)))


def _pair(table: pd.DataFrame, baseline: str, treatment: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of baseline and treatment that both have; empty tables if one is missing."""
    names = table.index.get_level_values("pretraining")
    first, second = (table[names == name].droplevel("pretraining") for name in (baseline, treatment))
    return first.align(second, join="inner")


def _ordered(table: pd.DataFrame, axis: Literal[0, 1] = 0) -> pd.DataFrame:
    """Sort sizes from small to large and treebanks in the order of the benchmark, others last and by name."""
    places = {name: i for i, name in enumerate((*SIZES, *TREEBANKS))}

    def by_place(level: pd.Index) -> pd.Index:
        return level.map(lambda name: f"{places.get(name, len(places)):02} {name}")

    return table.sort_index(axis=axis, key=by_place)
