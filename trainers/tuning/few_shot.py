"""Few-shot training: how well a pretrained model does after K examples of every class, without a validation split."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import stats
from torch import Tensor

from .logistic_head import fit
from .prototypes import Classifier, nearest_prototype
from .tuning_config import TuningConfig

METHODS = ("linear", "prototypes", "full")
# The only penalty of the linear head: choosing one would need labelled rows beyond the K examples.
PENALTY = 1e-3

Config = TypeVar("Config", bound=TuningConfig)


@dataclass(frozen=True)
class FewShotScore:
    """F1 of a test set after training on the sentences of a draw."""

    method: str
    shots: int
    draw: int
    sentences: int
    test: str
    f1: float
    counts: np.ndarray | None = None  #: what F1 follows from, such as the entities of each test sentence


def score_draws(
    chosen: dict[tuple[int, int], list[int]],
    trained: dict[str, Callable[[list[int]], dict[str, np.ndarray]]],
    score: Callable[[str, int, int, int, str, np.ndarray], FewShotScore],
) -> list[FewShotScore]:
    """Score every method on the same draws.

    Args:
        chosen: the training rows of each (K, draw).
        trained: by method, what trains on such rows and returns the counts of each test set.
        score: makes a score of method, K, draw, number of rows, test set and counts.
    """
    return [
        score(method, k, draw, len(rows), test, counts)
        for (k, draw), rows in chosen.items()
        for method, train in trained.items()
        for test, counts in train(rows).items()
    ]


def head(method: str, features: Tensor, labels: Tensor, count: int, layers: int) -> Classifier:
    """A head of method `linear` (see `logistic_head.fit`) or `prototypes` on features (M, W) of the chosen rows."""
    if method == "linear":
        return fit(features, labels, count, lambda head: 0.0, layers, (PENALTY,))
    return nearest_prototype(features, labels, count)


def full_args(args: Config) -> Config:
    """A copy of the arguments for method `full`: all weights, for all epochs."""
    args = copy.copy(args)
    args.mode, args.chosen_epoch, args.head_solver = "full", "last", "adamw"
    return args


def curve(scores: list[FewShotScore], confidence: float = 0.95) -> list[dict[str, Any]]:
    """Mean F1 over draws with its t interval, by test set, method and K: rows for a table."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for score in scores:
        found.setdefault((score.test, score.method, score.shots), []).append(score.f1)
    rows = []
    for (test, method, shots), values in found.items():
        mean, error = float(np.mean(values)), stats.sem(values) if len(values) > 1 else np.nan
        half = float(stats.t.ppf((1 + confidence) / 2, max(len(values) - 1, 1)) * error)
        rows.append(
            {
                "test": test,
                "method": method,
                "shots": shots,
                "draws": len(values),
                "f1": mean,
                "low": mean - half,
                "high": mean + half,
            }
        )
    return rows
