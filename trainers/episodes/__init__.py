"""Draw episodes, N-way K-shot tasks, from unlabelled token ids. Pure functions, no model.

- `sampling`: the episodes of training and evaluation.
- `random_positions`: the episodes of the paper's published code, for comparison.
- `occurrences`: which words and places a pool of text offers.
- `sides`: keeps support and query windows of a word in different documents.
"""

from .sampling import (
    READOUTS,
    Episode,
    Examples,
    count_words,
    episode_generator,
    has_episode,
    sample_episode,
    sample_stream_episode,
)
from .sides import RULES

__all__ = [
    "READOUTS",
    "RULES",
    "Episode",
    "Examples",
    "count_words",
    "episode_generator",
    "has_episode",
    "sample_episode",
    "sample_stream_episode",
]
