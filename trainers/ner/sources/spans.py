"""JSON lines with a text and its entities as spans of characters."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...text_lines import read_lines
from ..iob2 import Entity, Sentence, to_iob2

# A run of letters and digits, or a single other sign.
WORD = re.compile(r"\w+|[^\w\s]")
KEYS = ("entities", "spans")


def read_spans(path: Path) -> list[Sentence]:
    """Read objects with `text` and `entities` (or `spans`), of which each has `start`, `end` (exclusive) and `label`.

    A span may also be a list of the three. Words are cut where a span begins or ends, so that none is lost.

    Raises:
        InputError: a line that is no such object, a span outside of its text or without a word, or two that overlap.
    """
    sentences = []
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            sentences.append(_sentence(line, f"{path}, line {number}"))
    if not sentences:
        raise InputError(f"{path}: no sentence in it")
    return sentences


def _sentence(line: str, where: str) -> Sentence:
    try:
        row = json.loads(line)
        text, found = row["text"], next(row[key] for key in KEYS if key in row)
        spans = sorted(_span(span) for span in found)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(
            f'{where}: expected {{"text": ..., "entities": [{{"start": 0, "end": 3, "label": "PER"}}]}}, got '
            f"{line[:80]!r}"
        ) from error
    if not isinstance(text, str) or not WORD.search(text):
        raise InputError(f"{where}: a text without a word")
    end = 0
    for start, stop, label in spans:
        if not 0 <= start < stop <= len(text):
            raise InputError(
                f"{where}: the span {start} to {stop} ({label}) is not in a text of {len(text)} characters"
            )
        if start < end:
            raise InputError(
                f"{where}: the span {start} to {stop} ({label}) overlaps the one before: a word has one tag, keep one"
            )
        end = stop
    words = _words(text, {edge for start, stop, _ in spans for edge in (start, stop)})
    entities = []
    for start, stop, label in spans:
        inside = [i for i, (first, last) in enumerate(words) if start <= first and last <= stop]
        if not inside:
            raise InputError(f"{where}: the span {start} to {stop} ({label}) has no word")
        entities.append(Entity(inside[0], inside[-1] + 1, label))
    return Sentence([text[first:last] for first, last in words], to_iob2(entities, len(words)))


def _span(span: Any) -> tuple[int, int, str]:
    start, end, label = (span[key] for key in ("start", "end", "label")) if isinstance(span, dict) else span
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(label, str) and label):
        raise TypeError(span)
    return start, end, label


def _words(text: str, edges: set[int]) -> list[tuple[int, int]]:
    """First and last character (exclusive) of each word, which is cut at the edges."""
    words: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        cuts = [match.start(), *sorted(edge for edge in edges if match.start() < edge < match.end()), match.end()]
        words += pairwise(cuts)
    return words
