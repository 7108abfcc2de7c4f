"""Draw class episodes: a pure function of the token ids and a generator."""

from dataclasses import replace

import torch
from torch import Tensor

from ..corpus.form_table import FormTable
from ..word_classes import WordClasses
from .config import ClassEpisodeConfig
from .episode import ClassEpisode, ClassStates


def sample_class_episode(
    token_ids: Tensor,
    table: FormTable,
    classes: WordClasses,
    config: ClassEpisodeConfig,
    generator: torch.Generator,
    seen: Tensor | None = None,
) -> ClassEpisode | None:
    """Draw an episode of all words in a text that have a class.

    Which side a word is on is drawn for each episode; with a memory each word always has the same.

    Args:
        token_ids: (R, T) rows of running text.
        table: finds the words by their spelling.
        classes: the classes of words.
        config: the algorithm, and where its support comes from.
        generator: a CPU generator; the same state gives the same episode.
        seen: (2, C) bool, the classes in the memory by the side of their words; those of this episode are added to
            it. None without a memory.

    Returns:
        The episode on the CPU, or None if the text has too few words.
    """
    states, n_classes = ClassStates.find(token_ids, table, classes), classes.n_classes
    every_class = torch.ones(2, n_classes, dtype=torch.bool)
    if config.meta_algorithm == "direct":
        return states.divide(torch.ones(len(states), dtype=torch.bool), every_class, both=False)
    if seen is not None:
        side = states.halves()
        present = states.present(side, n_classes)
        episode = states.divide(side, (seen | present).flip(0), both=True)
        if episode is not None:
            seen |= present
        return episode
    side = states.random_sides(generator)
    if config.meta_algorithm == "protonet":
        on_both_sides = states.present(side, n_classes).all(0)
        return states.divide(side, on_both_sides.expand(2, -1), both=False)
    if side.all():
        return None  # there is nothing to adapt to
    if config.class_identity == "permuted":
        order = torch.randperm(n_classes, generator=generator)
        states = replace(states, classes=order[states.classes])
    return states.divide(side, every_class, both=False)
