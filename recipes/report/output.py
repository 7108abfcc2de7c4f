"""The report's folder: a new report replaces an earlier one, other files stay."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ...trainers import InputError
from ...trainers.runs.json_files import read_json, write_json

MARKER = ".pico-maml-report.json"


def check_output(folder: Path) -> None:
    """Raise InputError when the folder is a file, or holds anything but an earlier report."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file()):
        raise InputError(f"{folder} holds other files than a report: choose another --output")


def write_output(folder: Path, write: Callable[[Path], None]) -> None:
    """Call `write` on a temporary folder, then move its files into `folder`, index.html last.

    Files that an earlier report wrote and the new one did not are deleted; all other files stay.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        source = Path(temporary)
        write(source)
        files = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
        folder.mkdir(exist_ok=True)
        before = _listed(folder)
        # Files of both reports are listed first: after an interruption the next report deletes the right ones.
        write_json(folder / MARKER, {"files": sorted({*before, *files})})
        for name in sorted(files, key=lambda name: name == "index.html"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).replace(folder / name)
        for name in set(before) - set(files):
            (folder / name).unlink(missing_ok=True)
        write_json(folder / MARKER, {"files": files})


def _listed(folder: Path) -> list[str]:
    """Files of the report in the folder, without names that lead outside of it."""
    try:
        names = read_json(folder / MARKER)["files"]
    except (InputError, KeyError):
        return []
    root = folder.resolve()
    return [name for name in names if Path(os.path.normpath(root / name)).is_relative_to(root)]
