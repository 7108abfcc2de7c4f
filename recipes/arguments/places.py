"""Folders and files among the arguments: `~` expanded, and what cannot be written found before any work."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...trainers import InputError

FILES, FOLDERS = ("output_file",), ("output_dir", "output")
# `~/x`, `--name=~/x`, and `SIZE/PRETRAINING=~/x` of a sweep's models.
HOME = re.compile(r"(?P<before>(?:--[\w-]+=)?(?:[\w./]+=)?)(?P<path>~(?:/.*)?|~[\w.-]+/.*)", re.DOTALL)


def expand_home(argument: str) -> str:
    """The argument with the home folder in place of the `~` that its path starts with, as a shell does it.

    Shells leave the one in `--name=~/x`. Raises InputError if no home folder is known.
    """
    match = HOME.fullmatch(argument)
    if match is None:
        return argument
    try:
        return match["before"] + str(Path(match["path"]).expanduser())
    except RuntimeError as error:
        raise InputError(f"{argument}: the home folder of ~ is not known: set HOME, or give the whole path") from error


def check_places(groups: Iterable[Any]) -> None:
    """Raise InputError if a file or folder among the arguments that is to be written cannot be."""
    for arguments in groups:
        for name in (*FILES, *FOLDERS):
            value = vars(arguments).get(name)
            if isinstance(value, str):
                check_writable(name, Path(value), is_folder=name in FOLDERS)


def check_writable(name: str, path: Path, is_folder: bool) -> None:
    """Raise InputError if a file or folder to write is of the other kind, or its place cannot be written to."""
    if path.exists() and path.is_dir() != is_folder:
        kinds = ("a file", "a folder") if is_folder else ("a folder", "a file")
        raise InputError(f"{path} is {kinds[0]}, {name} must be {kinds[1]}: choose another {name}")
    place = next(place for place in (path, *path.absolute().parents) if place.exists())
    if place != path and not place.is_dir():
        raise InputError(f"{name} {path} lies below {place}, which is a file (Not a directory): choose another {name}")
    if not os.access(place, os.W_OK):
        raise InputError(f"{name} {path} cannot be written: {place} is read-only for this user; choose another {name}")
