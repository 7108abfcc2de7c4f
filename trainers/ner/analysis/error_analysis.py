"""Where predictions go wrong: what was taken for what, how long and how new the missed entities are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..iob2 import Entity

# Lengths in words that recall is given for; the last stands for itself and more.
LENGTHS = (1, 2, 3, 4)
NOTHING = "-"
LONGEST_SHOWN = 10


@dataclass
class Errors:
    """What became of the entities of a test set.

    Attributes:
        confusions: entities by (gold class, predicted class) where both ends are right; `-` stands for no entity, so
            that (PER, -) are missed and (-, PER) made up.
        wrong_ends: entities by (gold class, predicted class) of predictions that overlap, but with other ends; they
            are counted with every gold entity that they overlap, and not as missed or made up.
        by_length: words to (found, all) entities of that length; the last length stands for longer ones too.
        seen, unseen: (found, all) entities whose words are, or are not, those of a training entity.
        longest: the longest entities, as words, class, and whether they were found.
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
    """Sort the entities of a test set by what became of them.

    Args:
        tokens: words of each sentence.
        gold: its entities.
        predicted: those that a model found.
        known: the words of each training entity (see `surface`).
    """
    errors = Errors()
    longest = []
    for words, wanted, found in zip(tokens, gold, predicted, strict=True):
        for entity in wanted:
            hit = entity in found
            length = min(entity.end - entity.start, LENGTHS[-1])
            errors.by_length[length] = _add(errors.by_length[length], hit)
            text = surface(words, entity)
            if text in known:
                errors.seen = _add(errors.seen, hit)
            else:
                errors.unseen = _add(errors.unseen, hit)
            longest.append((entity.end - entity.start, (text, entity.label, hit)))
        _confuse(errors, wanted, found)
    longest.sort(key=lambda entry: -entry[0])
    errors.longest = [entry for _, entry in longest[:LONGEST_SHOWN]]
    return errors


def _confuse(errors: Errors, wanted: Sequence[Entity], found: Sequence[Entity]) -> None:
    """Add the confusions of a sentence."""
    by_ends = {(entity.start, entity.end): entity for entity in found}
    matched, overlapped = set(), set()
    for entity in wanted:
        same = by_ends.get((entity.start, entity.end))
        if same is not None:
            matched.add(same)
            _count(errors.confusions, entity.label, same.label)
            continue
        overlaps = [other for other in found if other.start < entity.end and entity.start < other.end]
        overlapped.update(overlaps)
        for other in overlaps:
            _count(errors.wrong_ends, entity.label, other.label)
        if not overlaps:
            _count(errors.confusions, entity.label, NOTHING)
    for other in found:
        if other not in matched and other not in overlapped:
            _count(errors.confusions, NOTHING, other.label)


def _count(counts: dict[tuple[str, str], int], gold: str, predicted: str) -> None:
    counts[gold, predicted] = counts.get((gold, predicted), 0) + 1


def _add(found_and_all: tuple[int, int], hit: bool) -> tuple[int, int]:
    return found_and_all[0] + hit, found_and_all[1] + 1
