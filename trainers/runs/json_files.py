"""JSON files that are written whole or not at all, and JSON lines of which a damaged line costs only itself."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from .whole_file import write_whole

logger = logging.getLogger(__name__)


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write a JSON file, in one line if `indent` is None; a crash leaves the old file or the new one."""
    write_whole(path, json.dumps(content, indent=indent) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise InputError if the file is missing or holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: put it back") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: put back an undamaged copy") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object: put back an undamaged copy")
    return content


class JsonLines:
    """A file of one JSON object a line, each with its `step`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        """Write one line and flush it; a line that a crash left torn is ended first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(row).encode() + b"\n")

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """The rows, one after the other; None for a line that is torn, not UTF-8 or no object with a step."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in filter(bytes.strip, file):
                try:
                    row = json.loads(line)
                    row["step"] = int(row["step"])
                except (ValueError, TypeError, KeyError, OverflowError):
                    row = None
                yield row

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """The rows, and the number of lines that are none."""
        rows = list(self)
        return [row for row in rows if row is not None], rows.count(None)

    def cut_back_to(self, step: int) -> None:
        """Delete the rows after `step`, which a resumed run writes again, and lines that cannot be read."""
        if not self.path.exists():
            return
        rows, dropped = self.read()
        if dropped:
            logger.warning("%s: %d damaged line(s) dropped", self.path, dropped)
        write_whole(self.path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))
