"""Errors of predicted entities: confusions of classes, wrong ends, and recall by length and novelty."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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

    confusions: dict[tuple[str, str], int] = field(default_factory=dict)
    wrong_ends: dict[tuple[str, str], int] = field(default_factory=dict)
    by_length: dict[int, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(LENGTHS, (0, 0)))
    seen: tuple[int, int] = (0, 0)
    unseen: tuple[int, int] = (0, 0)
    longest: list[tuple[str, str, bool]] = field(default_factory=list)


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
    errors = Errors()
    longest = []
    for words, entities, guesses in zip(tokens, gold, predicted, strict=True):
        for entity in entities:
            hit = entity in guesses
            length = min(entity.end - entity.start, LENGTHS[-1])
            errors.by_length[length] = _add(errors.by_length[length], hit)
            text = surface(words, entity)
            if text in known:
                errors.seen = _add(errors.seen, hit)
            else:
                errors.unseen = _add(errors.unseen, hit)
            longest.append((entity.end - entity.start, (text, entity.label, hit)))
        _confuse(errors, entities, guesses)
    longest.sort(key=lambda entry: -entry[0])
    errors.longest = [entry for _, entry in longest[:LONGEST_SHOWN]]
    return errors


def _confuse(errors: Errors, gold: Sequence[Entity], predicted: Sequence[Entity]) -> None:
    """Add the confusions of a sentence."""
    by_ends = {(entity.start, entity.end): entity for entity in predicted}
    matched, overlapped = set(), set()
    for entity in gold:
        same = by_ends.get((entity.start, entity.end))
        if same is not None:
            matched.add(same)
            _count(errors.confusions, entity.label, same.label)
            continue
        overlaps = [other for other in predicted if other.start < entity.end and entity.start < other.end]
        overlapped.update(overlaps)
        for other in overlaps:
            _count(errors.wrong_ends, entity.label, other.label)
        if not overlaps:
            _count(errors.confusions, entity.label, NOTHING)
    for other in predicted:
        if other not in matched and other not in overlapped:
            _count(errors.confusions, NOTHING, other.label)


def _count(counts: dict[tuple[str, str], int], gold: str, predicted: str) -> None:
    counts[gold, predicted] = counts.get((gold, predicted), 0) + 1


def _add(found_and_all: tuple[int, int], hit: bool) -> tuple[int, int]:
    return found_and_all[0] + hit, found_and_all[1] + 1
