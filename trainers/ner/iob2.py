"""IOB2 with the conventions of Universal NER (Mayhew et al. 2024): a strict reader, a writer, tags and entities."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..text_lines import read_lines

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
CLASSES = ("PER", "ORG", "LOC")
# Universal NER does not score "other" entities, and its files hold one misspelt tag.
MAPPED_TO_O = {"B-OTH", "I-OTH", "B-O"}
ANY_TAG = re.compile(r"[BI]-\S+")
# Columns of token and tag among five (Universal NER: id, token, tag, misc, annotator) and among two.
TOKEN_AND_TAG = {5: (1, 2), 2: (0, 1)}


@dataclass(frozen=True)
class Sentence:
    """Words, the IOB2 tag of each, and the number of OTH entities that became O."""

    tokens: list[str]
    tags: list[str]
    other_entities: int = 0


class Entity(NamedTuple):
    """Words `start` to `end` (exclusive) of a sentence, of class `label`."""

    start: int
    end: int
    label: str


def read_iob2(path: Path) -> list[Sentence]:
    """Read sentences, separated by empty lines; lines that start with `#` and a space are comments.

    With five columns, as in Universal NER, tags are those of `LABELS` and OTH; with two they may have any class. OTH
    becomes O where other classes are those of Universal NER. An I- tag without its B- stays, as there (see
    `inside_without_begin`).

    Raises:
        InputError: no such file, not UTF-8, wrong columns, an unknown tag, or no sentence (names file and line).
    """
    if not path.is_file():
        raise InputError(f"no file {path}: check the path")
    sentences: list[Sentence] = []
    tokens: list[str] = []
    raw_tags: list[str] = []
    columns = None
    for number, line in enumerate([*read_lines(path), ""], 1):
        if not line.strip():
            if tokens:
                sentences.append(Sentence(tokens, raw_tags))
                tokens, raw_tags = [], []
            continue
        if line.startswith("# ") or line == "#":
            continue
        parts = line.rstrip("\r").split("\t")
        columns = columns or len(parts)
        if len(parts) not in TOKEN_AND_TAG or len(parts) != columns:
            raise InputError(
                f"{path}, line {number}: {len(parts)} columns, expected 5 (id, token, tag, misc, annotator) or "
                "2 (token, tag), the same on every line, separated by tabs"
            )
        token, tag = (parts[column] for column in TOKEN_AND_TAG[columns])
        if tag not in LABELS and tag not in MAPPED_TO_O and (columns == 5 or not ANY_TAG.fullmatch(tag)):
            expected = f"one of {', '.join(LABELS)}" if columns == 5 else "O, B-CLASS or I-CLASS"
            raise InputError(f"{path}, line {number}: unknown tag {tag!r}, expected {expected}")
        if not token.strip():
            raise InputError(f"{path}, line {number}: empty token")
        tokens.append(token)
        raw_tags.append(tag)
    if not sentences:
        raise InputError(f"{path}: no sentence in it")
    known = {*LABELS, *MAPPED_TO_O}
    return [_mapped(s) for s in sentences] if all(known.issuperset(s.tags) for s in sentences) else sentences


def _mapped(sentence: Sentence) -> Sentence:
    tags = ["O" if tag in MAPPED_TO_O else tag for tag in sentence.tags]
    return Sentence(sentence.tokens, tags, sentence.tags.count("B-OTH"))


def format_iob2(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> str:
    """The text of an IOB2 file with two columns, from the words and tags of each sentence."""
    blocks = ("\n".join(f"{token}\t{tag}" for token, tag in zip(*sentence, strict=True)) for sentence in sentences)
    return "".join(f"{block}\n\n" for block in blocks)


def to_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence by conlleval's rules: an I- tag that continues no entity begins one."""
    # Here, because it loads scikit-learn, for which pretraining need not wait.
    from seqeval.metrics.sequence_labeling import get_entities

    return [Entity(start, end + 1, label) for label, start, end in get_entities(list(tags))]


def to_iob2(entities: Iterable[Entity], length: int) -> list[str]:
    """The tags of a sentence of `length` words, from its entities (which must not overlap)."""
    tags = ["O"] * length
    for entity in entities:
        tags[entity.start : entity.end] = [f"I-{entity.label}"] * (entity.end - entity.start)
        tags[entity.start] = f"B-{entity.label}"
    return tags


def inside_without_begin(tags: Sequence[str]) -> int:
    """Number of I- tags that follow neither B- nor I- of their own class."""
    before = ["O", *tags]
    return sum(tag.startswith("I-") and previous[2:] != tag[2:] for previous, tag in pairwise(before))
