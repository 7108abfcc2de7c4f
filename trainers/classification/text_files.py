"""Files of labelled texts: JSON lines, CSV and TSV with a column for the text and one for the label."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..text_lines import read_lines

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")


class LabelledText(NamedTuple):
    """A text, its label (None: unlabelled), and where it is, for errors."""

    text: str
    label: str | None
    where: str


def read_file(path: Path, text_column: str, label_column: str) -> list[LabelledText]:
    """Read a file by its suffix. In TSV quotes are text; in CSV they enclose commas and line ends.

    Raises:
        InputError: another suffix, no UTF-8, a line that cannot be read, no such column, or no row.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: a file of labelled texts ends with {', '.join(SUFFIXES)}: convert or rename it")
    lines = _json_lines if path.suffix.startswith(".json") else _table
    try:
        rows = [labelled(row, text_column, label_column, where) for where, row in lines(path)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start + 1}: convert the file") from error
    if not rows:
        raise InputError(f"{path}: no row in it")
    return rows


def labelled(row: dict[str, Any], text_column: str, label_column: str, where: str) -> LabelledText:
    """The text and the label of a row; whole numbers and truth values are labels too, an empty label is none.

    Raises:
        InputError: a column is missing, or holds something else.
    """
    for argument, column in (("text_column", text_column), ("label_column", label_column)):
        if column not in row:
            raise InputError(
                f"{where}: no column {column!r}, only {', '.join(map(repr, row))}: name yours with --{argument}"
            )
    text, label = row[text_column], row[label_column]
    if not isinstance(text, str):
        raise InputError(f"{where}: {text_column} must be text, got {text!r}")
    if not isinstance(label, str | int | None):
        raise InputError(f"{where}: {label_column} must be a string or a whole number, got {label!r}")
    return LabelledText(text, None if label is None else str(label).strip() or None, where)


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: no JSON ({error}): write one object a line") from error
        if not isinstance(row, dict):
            raise InputError(
                f'{where}: expected an object such as {{"text": "...", "label": "..."}}, got {line[:60]!r}'
            )
        yield where, row


def _table(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV or TSV file, whose first line names the columns."""
    options: Any = {"delimiter": ",", "strict": True}
    if path.suffix == ".tsv":
        options |= {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, **options)
        try:
            names = next(reader, [])
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if row and len(row) != len(names):
                    raise InputError(
                        f"{where}: {len(row)} columns, but the first line names {len(names)} ({', '.join(names)}): "
                        "quote texts with separators in them"
                    )
                if row:
                    yield where, dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}: quote the text as CSV does") from error
