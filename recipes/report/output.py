"""The report's folder: written whole, refreshed at will, and never one that holds something else."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ...trainers import InputError

MARKER = ".pico-maml-report.json"


def check_output(folder: Path) -> None:
    """Make sure that a report may be written.

    Raises:
        InputError: the folder holds something that is no report, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file()):
        raise InputError(f"{folder} holds something else than a report: choose another --output")


def write_output(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder, then put its files into place, index.html last; files of an earlier report go.

    A file of the user's own that lies there stays. Whoever has the old page open can go on reading it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        made = Path(temporary)
        write(made)
        files = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
        folder.mkdir(exist_ok=True)
        before = _listed(folder)
        # Both lists first, so that whatever stops this in between can be refreshed.
        (folder / MARKER).write_text(json.dumps({"files": sorted({*before, *files})}))
        for name in sorted(files, key=lambda name: name == "index.html"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).replace(folder / name)
        for name in set(before) - set(files):
            (folder / name).unlink(missing_ok=True)
        (folder / MARKER).write_text(json.dumps({"files": files}))


def _listed(folder: Path) -> list[str]:
    """The files of the report that lies there, none outside the folder whatever the list says."""
    try:
        names = json.loads((folder / MARKER).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    root = folder.resolve()
    return [name for name in names if Path(os.path.normpath(root / name)).is_relative_to(root)]
