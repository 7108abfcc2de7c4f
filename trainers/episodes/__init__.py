"""Episodes: N-way K-shot tasks that are drawn from unlabelled token ids. Pure functions, no model."""

from .sampling import (
    READOUTS,
    Episode,
    Examples,
    count_words,
    episode_generator,
    sample_episode,
    sample_stream_episode,
)

__all__ = [
    "READOUTS",
    "Episode",
    "Examples",
    "count_words",
    "episode_generator",
    "sample_episode",
    "sample_stream_episode",
]
