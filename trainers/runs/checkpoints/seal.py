"""The seal of a checkpoint: the file COMPLETE, which lists every other file with its size and hash.

COMPLETE is JSON: `step` (optimizer steps done), `world_size` (processes that saved), `files` (by relative path, `size`
in bytes and `sha256`), and `sha256` of these three.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ..files import COMPLETE
from ..json_files import read_json, write_json


def seal(folder: Path, step: int, world_size: int) -> None:
    """Flush every file of a checkpoint to disk, then write COMPLETE."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE)
    with ThreadPoolExecutor() as threads:  # hashing releases the GIL
        digests = list(threads.map(partial(_digest, sync=True), files))
    content: dict[str, Any] = {
        "step": step,
        "world_size": world_size,
        "files": {
            path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest}
            for path, digest in zip(files, digests, strict=True)
        },
    }
    content["sha256"] = _own_digest(content)
    write_json(folder / COMPLETE, content, indent=1)
    for directory in {path.parent for path in files} | {folder}:
        sync_directory(directory)


def read_seal(folder: Path) -> dict[str, Any]:
    """The content of COMPLETE; raises ValueError if the file is missing or damaged."""
    if not (folder / COMPLETE).exists():
        raise ValueError(f"{COMPLETE} is missing")
    try:
        content = read_json(folder / COMPLETE)
        if content["sha256"] != _own_digest({name: content[name] for name in ("step", "world_size", "files")}):
            raise ValueError("another hash")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{COMPLETE} is damaged") from error
    return content


def damages(folder: Path, hashes: bool = True) -> list[str]:
    """What is wrong with a checkpoint, one clause a file; without `hashes` only sizes are compared."""
    try:
        files = read_seal(folder)["files"]
    except ValueError as error:
        return [str(error)]

    def damage_of(name: str) -> str | None:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != files[name]["size"]:
            return f"{name} has {size} bytes instead of {files[name]['size']}"
        if hashes and _digest(path) != files[name]["sha256"]:
            return f"{name} has other content than was saved"
        return None

    with ThreadPoolExecutor() as threads:
        return [damage for damage in threads.map(damage_of, files) if damage is not None]


def sync_directory(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path, sync: bool = False) -> str:
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
