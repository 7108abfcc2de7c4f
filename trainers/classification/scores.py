"""Scores of classified texts as an `evaluate.Metric`.

Importing this module loads evaluate and scikit-learn, so modules that a command imports load it only where they score.
"""

from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_recall_fscore_support

from ..tuning.in_memory_metric import InMemoryMetric


class ClassScores(InMemoryMetric):
    """Accuracy, macro-F1 and Matthews' correlation by scikit-learn; needs no network.

        scores = ClassScores()
        scores.add_batch(predictions=["good", "bad"], references=["good", "good"])
        scores.compute()

    `compute` returns `accuracy`, `f1` (the unweighted mean over the classes that occur in predictions or references),
    `matthews`, `support` (texts), and `classes` with precision, recall, f1 and support of each class.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, macro-F1 and Matthews' correlation of classes.",
            citation="https://scikit-learn.org",
            inputs_description="The class of each text, such as ['good', 'bad'].",
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(self, *, predictions: list[str], references: list[str]) -> dict[str, Any]:
        names = sorted({*predictions, *references})
        columns = precision_recall_fscore_support(references, predictions, labels=names, zero_division=0)
        classes = {
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
            for name, precision, recall, f1, support in zip(names, *columns, strict=True)
        }
        return {**class_scores(references, predictions), "support": len(references), "classes": classes}


def class_scores(gold: Any, predicted: Any) -> dict[str, float]:
    """Accuracy, macro-F1 and Matthews' correlation of classes, names or numbers."""
    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "f1": macro_f1(gold, predicted),
        "matthews": float(matthews_corrcoef(gold, predicted)),
    }


def macro_f1(gold: Any, predicted: Any) -> float:
    """Unweighted mean F1 over the classes that occur in either."""
    return float(f1_score(np.asarray(gold), np.asarray(predicted), average="macro", zero_division=0))
