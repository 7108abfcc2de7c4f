"""Entity-level scores of tagged sentences, by seqeval."""

import warnings
from typing import Any

from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2


def entity_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, Any]:
    """Micro-averaged scores over entities: an entity counts when its class and both its ends are right.

    Args:
        gold: tags of each sentence.
        predicted: tags of each sentence, of the same lengths.

    Returns:
        `precision`, `recall`, `f1` in seqeval's default mode (conlleval's, comparable with the paper), `strict_f1`
        (an entity must start with B-), `support` (entities in gold), and `classes` with the four of each class.
    """
    with warnings.catch_warnings():
        # seqeval warns of classes without a prediction; zero_division=0 says what they score.
        warnings.simplefilter("ignore")
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
        strict = f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0)
    rows = {name: _row(row) for name, row in report.items()}
    micro = rows.pop("micro avg", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0})
    classes = {name: row for name, row in rows.items() if not name.endswith(" avg")}
    return {**micro, "strict_f1": float(strict), "classes": classes}


def _row(row: dict) -> dict[str, float]:
    scores = {"precision": row["precision"], "recall": row["recall"], "f1": row["f1-score"]}
    return {**{name: float(value) for name, value in scores.items()}, "support": int(row["support"])}
