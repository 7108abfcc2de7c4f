"""Counts of correct, predicted and gold entities, from which micro-F1 follows for any set of sentences."""

import numpy as np

from .iob2 import to_entities


def sentence_counts(gold: list[list[str]], predicted: list[list[str]]) -> np.ndarray:
    """Correct, predicted and gold entities of each of S sentences, by seqeval's default mode: (S, 3)."""
    rows = []
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        in_gold, in_predicted = set(to_entities(gold_tags)), set(to_entities(predicted_tags))
        rows.append((len(in_gold & in_predicted), len(in_predicted), len(in_gold)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """Micro-F1, 2 correct / (predicted + gold), of summed counts: (..., 3) to (...); 0 without entities."""
    correct, predicted, gold = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)
