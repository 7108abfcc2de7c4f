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


@dataclass
class Comparison:
    """Comparison of two ways of pretraining, by their names in a sweep."""

    baseline: str = HfArg(default="vanilla", help="Pretraining that is the baseline of the comparison.")
    treatment: str = HfArg(default="maml", help="Pretraining that is compared with it.")
    transfer_from: list[str] | None = HfArg(
        default=None, help="Training treebanks that Table 6 averages over (unset: all)."
    )
    bootstrap_samples: int = HfArg(default=1000, help="Resamples of each interval and p-value.")

    def __post_init__(self) -> None:
        check_at_least(1, bootstrap_samples=self.bootstrap_samples)
        if self.baseline == self.treatment:
            raise InputError(f"baseline and treatment are both {self.baseline!r}: name two ways of pretraining")


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
    pair = (comparison.baseline, comparison.treatment)
    head, full = (tables.in_language_improvement(scores, mode, *pair) for mode in ("head", "full"))
    paper = {number: tables.published(number) for number in range(3, 10)}
    return {
        "runs": scores.set_index(tables.RUN),
        "seeds": tables.seeds(scores),
        "differences": tables.differences(results, *pair, comparison.bootstrap_samples),
        "table_3": tables.beside(tables.group_improvement(scores, *pair), paper[3]),
        "table_4": tables.beside(head.filter(paper[4].columns), paper[4]),
        "table_5": tables.beside(full.filter(paper[5].columns), paper[5]),
        "table_6": tables.beside(tables.transfer_improvement(scores, *pair, comparison.transfer_from), paper[6]),
        "table_7": tables.beside(tables.in_language(scores, "head"), paper[7]),
        "table_7_full": tables.in_language(scores, "full"),
        "table_8": tables.beside(head, paper[8]),
        "table_9": tables.beside(full, paper[9]),
    }
