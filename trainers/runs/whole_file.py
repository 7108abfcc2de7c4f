"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it is renamed to `path` at the end, or deleted after an error.

    Its name is not given twice, not even to processes of the same number on two machines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the error that matters is the first one
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file in UTF-8 and sync it to the disk; a crash leaves the old file or the new one."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def delete_unfinished(path: Path) -> None:
    """Delete what killed processes left of writing `path`; call it where no other process writes it."""
    for temporary in path.parent.glob(f".{escape(path.name)}.*"):
        temporary.unlink(missing_ok=True)
