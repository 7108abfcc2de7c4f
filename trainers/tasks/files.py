"""Labelled texts from files: sentences with a label and a task, or sentences with entities."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..ner.iob2 import to_entities
from ..ner.sources.data_format import DataFormat
from ..ner.sources.own_files import COLUMNS, SPANS, read_file
from ..ner.sources.spans import KEYS
from ..text_lines import read_lines

FIELDS = ("text", "label", "task")
EXAMPLE = '{"text": "...", "label": "...", "task": "..."}'


class Labelled(NamedTuple):
    """A text and its class in a task.

    Attributes:
        task, label: names.
        text: a whole text, or the words of a sentence.
        end: of words, how many there are up to the end of the entity that the label is of.
    """

    task: str
    label: str
    text: str | tuple[str, ...]
    end: int = 0


def read_tasks(paths: Sequence[str]) -> list[Labelled]:
    """Read the labelled texts of all files; a file of entities is a task, named as the file without its suffix.

    Raises:
        InputError: no such file, another format, two files of entities with one name, or a task in a file of each
            kind.
    """
    found: list[Labelled] = []
    origin: dict[str, Path] = {}  # file of each task of entities
    for path in map(Path, paths):
        if not path.is_file():
            raise InputError(f"task_files: no file {path}: check the path")
        if path.suffix not in SPANS | COLUMNS:
            known = ", ".join(sorted(SPANS | COLUMNS))
            raise InputError(f"task_files: {path} has no suffix of {known}: rename it")
        if path.suffix in SPANS and not _has_spans(path):
            found += _sentences(path)
            continue
        if path.stem in origin:
            raise InputError(
                f"task_files: {origin[path.stem]} and {path} would be one task {path.stem!r}: rename one of them"
            )
        origin[path.stem] = path
        found += _entities(path)
    if both := {row.task for row in found if isinstance(row.text, str)} & origin.keys():
        raise InputError(f"task_files: task {min(both)!r} is in a file of texts and the name of a file of entities")
    return found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line that is not empty, and where it is."""
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield line, f"{path}, line {number}"


def _has_spans(path: Path) -> bool:
    """True if the first line has entities, not a label."""
    line, where = next(_lines(path), ("", ""))
    if not line:
        raise InputError(f"{path} is empty: task_files need lines such as {EXAMPLE}")
    return bool(_object(line, where).keys() & set(KEYS))


def _object(line: str, where: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: no JSON ({error}): write an object a line, such as {EXAMPLE}") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: no object, but {line[:40]!r}: write {EXAMPLE}")
    return row


def _sentences(path: Path) -> list[Labelled]:
    found = []
    for line, where in _lines(path):
        row = _object(line, where)
        if missing := [name for name in FIELDS if row.get(name) is None]:
            raise InputError(f"{where}: no {' and no '.join(missing)}: write {EXAMPLE}")
        text, label, task = (row[name] for name in FIELDS)
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: text must be a string that is not empty, got {text!r}")
        if not isinstance(label, str | int) or not isinstance(task, str | int):
            raise InputError(f"{where}: label and task must be strings or whole numbers, got {label!r} and {task!r}")
        found.append(Labelled(str(task), str(label), text))
    return found


def _entities(path: Path) -> list[Labelled]:
    try:
        sentences = read_file(path, DataFormat())
    except InputError as error:
        raise InputError(f"{error}; task_files of columns have words first and IOB2 tags last") from error
    return [
        Labelled(path.stem, entity.label, tuple(sentence.tokens), entity.end)
        for sentence in sentences
        for entity in to_entities(sentence.tags)
    ]
