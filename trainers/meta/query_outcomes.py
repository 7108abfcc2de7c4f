"""Two models on the same episodes, compared query by query."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .crossed_interval import Interval, crossed_interval

# Of each query: its word and its document; every other entry of the outcomes is 1 where the answer is right, else 0.
QUERY = ("word", "document")
Outcomes = Mapping[str, Sequence[int]]


def compare_outcomes(outcomes: Outcomes, other: Outcomes) -> dict[str, Interval]:
    """Accuracy minus that of another model on the same queries, with 95 % intervals over words and documents.

    Args:
        outcomes, other: `Adaptation.queries` of two models.

    Returns:
        The difference of each classifier (prototypes, fresh head, trained head) that both models have.

    Raises:
        InputError: the queries are not the same.
    """
    if any(not np.array_equal(outcomes[name], other[name]) for name in QUERY):
        raise InputError(
            "the other results are of other queries: evaluate both models with the same text, tokenizer, held-out "
            "rule, shapes, number of episodes and seed"
        )
    word, document = (outcomes[name] for name in QUERY)
    return {
        name: crossed_interval(np.subtract(right, other[name]), word, document)
        for name, right in outcomes.items()
        if name not in QUERY and name in other
    }


def comparison_line(shape: Mapping[str, Any], differences: Mapping[str, Interval]) -> str:
    """Format the differences of one episode shape, in points, as a line."""
    parts = [
        f"{name} {100 * each.mean:+.1f} [{100 * each.low:+.1f}, {100 * each.high:+.1f}]"
        for name, each in differences.items()
    ]
    return f"{shape['n_way']}-way {shape['k_shot']}-shot: {', '.join(parts)}"
