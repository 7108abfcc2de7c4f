"""Choose a few labelled sentences: K mentions of every class, the same sentences for every model."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .iob2 import CLASSES, to_entities


def draw_sentences(tags: list[list[str]], shots: int, draw: int, classes: Sequence[str] = CLASSES) -> list[int]:
    """Indices of sentences that together mention every class at least K times (Yang and Katiyar 2020, algorithm 1).

    Sentences are taken in random order, for the rarest class first, until each class has its mentions. Sentences of
    several classes count for all of them, so frequent classes may get more than K.

    Args:
        tags: of each sentence.
        shots: K.
        classes: all classes, of which each needs its mentions.
        draw: seed of the order; with the same tags, K and draw the sentences are the same.

    Raises:
        InputError: a class has fewer than K mentions.
    """
    mentions = [Counter(entity.label for entity in to_entities(row)) for row in tags]
    total = sum(mentions, Counter())
    if few := [f"{label} {total[label]}" for label in classes if total[label] < shots]:
        raise InputError(f"{shots} shots, but the train split mentions {', '.join(few)} times: lower shots")
    order = np.random.default_rng(draw).permutation(len(tags)).tolist()
    chosen: dict[int, None] = {}  # in the order of the draw
    have: Counter[str] = Counter()
    for label in sorted(classes, key=lambda label: (total[label], label)):
        for i in order:
            if have[label] >= shots:
                break
            if mentions[i][label] and i not in chosen:
                chosen[i] = None
                have += mentions[i]
    return list(chosen)
