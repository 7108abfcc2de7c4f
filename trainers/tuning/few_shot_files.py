"""Files of few-shot results: scores and curve in results.json, what F1 follows from in counts.npz."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.files import RESULTS_FILE
from ..runs.json_files import read_json, write_json
from ..runs.whole_file import written_whole
from .few_shot import FewShotScore, curve

COUNTS_FILE = "counts.npz"


def save_few_shot(
    folder: Path, about: dict[str, Any], scores: list[FewShotScore], write: bool = True
) -> dict[str, Any]:
    """Return the results of a model on a data set, and write them on the process that is to; `about` comes first."""
    rows = [{name: value for name, value in asdict(score).items() if name != "counts"} for score in scores]
    results = {**about, "curve": curve(scores), "few_shot": rows}
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {_key(score): score.counts for score in scores if score.counts is not None}
        with written_whole(folder / COUNTS_FILE) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        # The last file, which shows that the results are complete.
        write_json(folder / RESULTS_FILE, results)
    return results


def load_few_shot(folder: Path) -> list[FewShotScore]:
    """The scores of a folder, with `counts` where an earlier version did not leave them out."""
    scores = [FewShotScore(**row) for row in read_json(folder / RESULTS_FILE)["few_shot"]]
    if not (folder / COUNTS_FILE).exists():
        return scores
    with np.load(folder / COUNTS_FILE) as arrays:
        return [replace(score, counts=arrays[_key(score)]) for score in scores]


def _key(score: FewShotScore) -> str:
    return f"{score.method}/{score.shots}/{score.draw}/{score.test}"
