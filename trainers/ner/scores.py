"""Entity-level scores of tagged sentences: an entity counts when its class and both its ends are right.

The unit of scoring is the entity of a whole sentence, in words: sub-words are never scored.
"""

import warnings
from typing import Any

import numpy as np

from .iob2 import to_entities


def entity_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, Any]:
    """Micro-averaged scores over entities, by seqeval.

    Args:
        gold: tags of each sentence.
        predicted: tags of each sentence, of the same lengths.

    Returns:
        `precision`, `recall`, `f1` in seqeval's default mode (conlleval's, comparable with the paper), `strict_f1`
        (an entity must start with B-), `support` (entities in gold), and `classes` with the four of each class.
    """
    # Here, because it loads scikit-learn, for which pretraining need not wait.
    from seqeval.metrics import classification_report, f1_score
    from seqeval.scheme import IOB2

    with warnings.catch_warnings():
        # seqeval warns of classes without a prediction; zero_division=0 says what they score.
        warnings.simplefilter("ignore")
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
        strict = f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0)
    rows = {name: _row(row) for name, row in report.items()}
    micro = rows.pop("micro avg", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0})
    classes = {name: row for name, row in rows.items() if not name.endswith(" avg")}
    return {**micro, "strict_f1": float(strict), "classes": classes}


def sentence_counts(gold: list[list[str]], predicted: list[list[str]]) -> np.ndarray:
    """Entities of each of S sentences that are correct, predicted and in gold, by seqeval's default mode: (S, 3)."""
    rows = []
    for tags, guess in zip(gold, predicted, strict=True):
        wanted, found = set(to_entities(tags)), set(to_entities(guess))
        rows.append((len(wanted & found), len(found), len(wanted)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """Micro-F1, 2 correct / (predicted + gold), of summed counts: (..., 3) to (...); 0 where there is no entity."""
    correct, predicted, gold = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)


def _row(row: dict) -> dict[str, float]:
    scores = {"precision": row["precision"], "recall": row["recall"], "f1": row["f1-score"]}
    return {**{name: float(value) for name, value in scores.items()}, "support": int(row["support"])}
