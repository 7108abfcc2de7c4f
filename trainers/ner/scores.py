"""Entity scores as an `evaluate.Metric`: an entity is correct if its class and both its ends are right.

Whole sentences are scored, word by word, never sub-words. Importing this module loads evaluate and scikit-learn, so
modules that pretraining imports load it only where they score.
"""

import warnings
from typing import Any

import evaluate
from datasets import Features, Sequence, Value
from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2

from ..tuning.in_memory_metric import InMemoryMetric


class EntityScores(InMemoryMetric):
    """Micro-averaged entity scores by seqeval; needs no network and, with `keep_in_memory`, writes no files.

        scores = EntityScores()
        scores.add_batch(predictions=[["B-PER", "I-PER", "O"]], references=[["B-PER", "I-PER", "O"]])
        scores.compute()

    `compute` returns `precision`, `recall` and `f1` in seqeval's default mode (conlleval's rules, comparable with the
    paper), `strict_f1` (an entity must start with B-), `support` (entities in the references), and `classes` with
    precision, recall, f1 and support of each class.
    """

    def _info(self) -> evaluate.MetricInfo:
        tags = Sequence(Value("string"))
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of entities, and their strict F1.",
            citation="https://github.com/chakki-works/seqeval",
            inputs_description="Tags of each sentence, such as [['B-PER', 'I-PER', 'O']].",
            features=Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, *, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
        with warnings.catch_warnings():
            # seqeval warns of classes without a prediction, which zero_division already scores.
            warnings.simplefilter("ignore")
            report = classification_report(references, predictions, output_dict=True, zero_division=0)
            strict = f1_score(references, predictions, mode="strict", scheme=IOB2, zero_division=0)
        rows = {name: _as_scores(row) for name, row in report.items()}
        micro = rows.pop("micro avg", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0})
        classes = {name: row for name, row in rows.items() if not name.endswith(" avg")}
        return {**micro, "strict_f1": float(strict), "classes": classes}


def _as_scores(row: dict[str, float]) -> dict[str, float]:
    """A row of seqeval's report as Python numbers, `f1-score` renamed to `f1`."""
    scores = {name: float(row[name]) for name in ("precision", "recall")}
    return {**scores, "f1": float(row["f1-score"]), "support": int(row["support"])}
