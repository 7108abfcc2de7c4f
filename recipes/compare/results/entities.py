"""NER results of a run by measure: entities of each test sentence, from which F1 and its differences follow."""

from pathlib import Path

import numpy as np

from ....trainers.ner.entity_counts import micro_f1
from ....trainers.runs.sweep_folder import SweepFolder
from ....trainers.tuning.few_shot import FewShotScore
from ....trainers.tuning.few_shot_files import load_few_shot
from ..measures import NER_FOLDER, few_shot_folder, treebank_name

# Name that `finetune` gives the test set of the treebank it trains on.
OWN_TEST = "test"


def entity_counts(run: Path, few_shot_treebanks: list[str]) -> dict[str, np.ndarray]:
    """(J, S, 3) correct, predicted and gold entities by measure: J fine-tuning seeds or draws, S test sentences."""
    counts: dict[str, list[np.ndarray]] = {}
    for result in SweepFolder(run / NER_FOLDER).results():
        treebank = treebank_name(result["train_on"])
        for path, rows in result["counts"].items():
            test = treebank_name(path)
            for ending in {test} if test != treebank else {"", test}:
                name = "/".join(filter(None, ("ner", result["mode"], treebank, ending)))
                counts.setdefault(name, []).append(np.array(rows))
    for treebank in few_shot_treebanks:
        for score in few_shot_scores(run, treebank):
            others = [] if score.test == OWN_TEST else [treebank_name(score.test)]
            name = "/".join(["few_shot", score.method, str(score.shots), treebank_name(treebank), *others])
            assert score.counts is not None  # compare writes no other
            counts.setdefault(name, []).append(score.counts)
    return {name: np.stack(rows) for name, rows in counts.items()}


def few_shot_scores(run: Path, treebank: str) -> list[FewShotScore]:
    """Few-shot scores of a run on a treebank; none before they are finished."""
    folder = few_shot_folder(run, treebank)
    return load_few_shot(folder) if folder.exists() else []


def f1(counts: dict[str, np.ndarray]) -> dict[str, float]:
    """F1 by measure, the mean over fine-tuning seeds or draws."""
    return {name: float(micro_f1(rows.sum(axis=1)).mean()) for name, rows in counts.items()}
