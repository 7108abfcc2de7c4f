"""Few-shot NER of a study: F1 over mentions of each class, by arm, with intervals over draws and seeds."""

from pathlib import Path

import numpy as np
import pandas as pd

from ....trainers.tuning.few_shot import FewShotScore, curve
from ..measures import treebank_name
from ..results.entities import few_shot_scores


def few_shot_table(runs: dict[str, list[Path]], treebanks: list[str]) -> pd.DataFrame:
    """A row for each arm (`label`), method, treebank, test set and K.

    F1 is the mean over draws and seeds. `low` and `high` are the 95 % t interval over the seeds' means over draws;
    `draws_low` and `draws_high` that over the draws' means over seeds. Each is NaN where there is but one.
    """
    rows = []
    for arm, folders in runs.items():
        for treebank in treebanks:
            by_seed = [scores for folder in folders if (scores := few_shot_scores(folder, treebank))]
            over_seeds = curve([score for i, scores in enumerate(by_seed) for score in _means(scores, i)])
            draws = sorted({score.draw for scores in by_seed for score in scores})
            by_draw = [[score for scores in by_seed for score in scores if score.draw == draw] for draw in draws]
            over_draws = curve([score for i, scores in enumerate(by_draw) for score in _means(scores, i)])
            for seeds, drawn in zip(over_seeds, over_draws, strict=True):
                named = {name: seeds[name] for name in ("method", "test", "shots")}
                rows.append(
                    {"label": arm, "treebank": treebank_name(treebank), **named, "seeds": seeds["draws"]}
                    | {"draws": drawn["draws"], "f1": seeds["f1"], "low": seeds["low"], "high": seeds["high"]}
                    | {"draws_low": drawn["low"], "draws_high": drawn["high"]}
                )
    return pd.DataFrame(rows)


def _means(scores: list[FewShotScore], number: int) -> list[FewShotScore]:
    """The mean F1 of each method, K and test set, numbered as one draw."""
    found: dict[tuple[str, int, str], list[float]] = {}
    for score in scores:
        found.setdefault((score.method, score.shots, score.test), []).append(score.f1)
    return [
        FewShotScore(method, shots, number, 0, test, float(np.mean(values)))
        for (method, shots, test), values in found.items()
    ]
