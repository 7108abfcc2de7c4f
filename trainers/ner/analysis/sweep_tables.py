"""The tables of NER sweeps: F1, differences between two ways of pretraining, and the paper's tables beside ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from transformers.hf_argparser import HfArg

from ...checks import check_at_least
from ...errors import InputError
from ...runs.sweep_folder import SweepFolder
from . import tables
from .differences import differences


@dataclass
class Comparison:
    """Comparison of two ways of pretraining, by their names in a sweep."""

    baseline: str | None = HfArg(
        default=None, help="Pretraining that is the baseline (unset, with two: vanilla, else the first by name)."
    )
    treatment: str | None = HfArg(default=None, help="Pretraining that is compared with it (unset: the other one).")
    transfer_from: list[str] | None = HfArg(
        default=None, help="Training treebanks that Table 6 averages over (unset: all)."
    )
    bootstrap_samples: int = HfArg(default=1000, help="Resamples of the test sentences for each interval.")

    def __post_init__(self) -> None:
        check_at_least(1, bootstrap_samples=self.bootstrap_samples)
        if self.baseline is not None and self.baseline == self.treatment:
            raise InputError(f"baseline and treatment are both {self.baseline!r}: name two ways of pretraining")

    def arms(self, results: list[dict[str, Any]]) -> tuple[str, str]:
        """Baseline and treatment; those that are unset follow when the results hold two ways of pretraining.

        With one way of pretraining there is nothing to compare: the other name is then "-".

        Raises:
            InputError: more than two ways to choose from, or a name that no result has.
        """
        names = sorted({result["pretraining"] for result in results})
        given = [name for name in (self.baseline, self.treatment) if name is not None]
        if len(names) == 1:
            return self.baseline or names[0], self.treatment or "-"
        if unknown := [name for name in given if name not in names]:
            raise InputError(f"no result has the pretraining {unknown[0]!r}: name two of {', '.join(names)}")
        left = [name for name in names if name not in given]
        if len(given) < 2 and len(names) > 2:
            raise InputError(f"the results hold {', '.join(names)}: name two of them as --baseline and --treatment")
        baseline = self.baseline or ("vanilla" if "vanilla" in left else left[0])
        return baseline, self.treatment or next(name for name in left if name != baseline)


def load_results(folders: list[Path]) -> list[dict[str, Any]]:
    """The finished runs of sweeps.

    Raises:
        InputError: a folder without finished runs, or the same run in two folders.
    """
    results: dict[tuple, dict[str, Any]] = {}
    for folder in folders:
        finished = SweepFolder(folder).results()
        if not finished:
            raise InputError(f"no finished run in {folder}: expected files in {folder / 'results'}")
        for result in finished:
            name = tuple(result[column] for column in tables.RUN)
            if name in results:
                raise InputError(f"{'-'.join(map(str, name))} is in two folders, {folder} the second: give one")
            results[name] = result
    return list(results.values())


def all_tables(results: list[dict[str, Any]], scores: pd.DataFrame, comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Every table by file name; tables of the paper hold its numbers beside ours."""
    pair = comparison.arms(results)
    head, full = (tables.in_language_improvement(scores, mode, *pair) for mode in ("head", "full"))
    paper = {number: tables.published(number) for number in range(3, 10)}
    return {
        "runs": scores.set_index(tables.RUN),
        "seeds": tables.seeds(scores),
        "differences": differences(results, *pair, comparison.bootstrap_samples),
        "table_3": tables.beside(tables.group_improvement(scores, *pair), paper[3]),
        "table_4": tables.beside(head.filter(paper[4].columns), paper[4]),
        "table_5": tables.beside(full.filter(paper[5].columns), paper[5]),
        "table_6": tables.beside(tables.transfer_improvement(scores, *pair, comparison.transfer_from), paper[6]),
        "table_7": tables.beside(tables.in_language(scores, "head"), paper[7]),
        "table_7_full": tables.in_language(scores, "full"),
        "table_8": tables.beside(head, paper[8]),
        "table_9": tables.beside(full, paper[9]),
    }
