"""Errors of predicted entities: confusions of classes, wrong ends, and recall by length and novelty."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..iob2 import Entity

# Recall is given for entities of so many words; the last number includes longer ones.
LENGTHS = (1, 2, 3, 4)
NOTHING = "-"
LONGEST_SHOWN = 10


@dataclass
class Errors:
    """Correct and wrong predictions on a test set.

    Attributes:
        confusions: number of entities by (gold class, predicted class) where both ends are right; (PER, -) are missed,
            (-, PER) are invented.
        wrong_ends: the same for predictions that overlap a gold entity but end elsewhere, once for each gold entity
            that they overlap; they count neither as missed nor as invented.
        by_length: number of words to (found, all) entities of that length, or longer for the last.
        seen, unseen: (found, all) entities whose words are, or are not, those of a training entity.
        longest: the longest entities: words, class, found.
    """

    confusions: Counter[tuple[str, str]]
    wrong_ends: Counter[tuple[str, str]]
    by_length: dict[int, tuple[int, int]]
    seen: tuple[int, int]
    unseen: tuple[int, int]
    longest: list[tuple[str, str, bool]]


def surface(tokens: Sequence[str], entity: Entity) -> str:
    """The words of an entity."""
    return " ".join(tokens[entity.start : entity.end])


def analyse(
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity]],
    known: set[str],
) -> Errors:
    """Count correct and wrong predictions.

    Args:
        tokens: words of each sentence.
        gold: entities of each sentence.
        predicted: entities that a model predicts in each.
        known: the words of each training entity (see `surface`).
    """
    confusions: Counter[tuple[str, str]] = Counter()
    wrong_ends: Counter[tuple[str, str]] = Counter()
    entities = []  # number of words, words, class, found
    for words, wanted, guesses in zip(tokens, gold, predicted, strict=True):
        entities += [(e.end - e.start, surface(words, e), e.label, e in guesses) for e in wanted]
        _count(wanted, guesses, confusions, wrong_ends)
    return Errors(
        confusions=confusions,
        wrong_ends=wrong_ends,
        by_length={n: _recall([e[3] for e in entities if min(e[0], LENGTHS[-1]) == n]) for n in LENGTHS},
        seen=_recall([e[3] for e in entities if e[1] in known]),
        unseen=_recall([e[3] for e in entities if e[1] not in known]),
        longest=[e[1:] for e in sorted(entities, key=lambda e: -e[0])[:LONGEST_SHOWN]],
    )


def _count(gold: Sequence[Entity], predicted: Sequence[Entity], confusions: Counter, wrong_ends: Counter) -> None:
    """Add the errors of a sentence to the two counters."""
    by_ends = {(entity.start, entity.end): entity for entity in predicted}
    invented = set(predicted)
    for entity in gold:
        same = by_ends.get((entity.start, entity.end))
        overlaps = [other for other in predicted if other.start < entity.end and entity.start < other.end]
        if same is not None:
            confusions[entity.label, same.label] += 1
            invented.discard(same)
        elif overlaps:
            wrong_ends.update((entity.label, other.label) for other in overlaps)
            invented.difference_update(overlaps)
        else:
            confusions[entity.label, NOTHING] += 1
    confusions.update((NOTHING, other.label) for other in invented)


def _recall(hits: list[bool]) -> tuple[int, int]:
    """(found, all) entities."""
    return sum(hits), len(hits)
