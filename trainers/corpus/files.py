"""Which files of a corpus a path names: the path itself, or what a folder and its subfolders hold."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

from fsspec import available_compressions

from ..errors import InputError

logger = logging.getLogger(__name__)

# Ending of a file -> its format.
FORMATS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}
# Ending of a compressed file of text -> its compression, as fsspec names it.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
# Spark and Hadoop write text into files without an ending.
SPARK_PART = re.compile(r"part-([rm]-)?\d{5}[^.]*")
# `datasets` saves these beside its .arrow files.
METADATA = {"dataset_info.json", "dataset_dict.json", "state.json"}
# Names that a log line gives of files left out for one reason.
MOST_NAMES = 10


class Listing:
    """The files at a path that are read, and those that are not, by the reason."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[Path] = []
        self.left_out: dict[str, list[str]] = defaultdict(list)

    def report(self) -> None:
        """Log in one line how many files are read, and how many are left out, and why."""
        if not self.left_out:
            return
        reasons = [
            f"{len(names)} {reason} ({', '.join(names[:MOST_NAMES])}{', ...' if len(names) > MOST_NAMES else ''})"
            for reason, names in sorted(self.left_out.items())
        ]
        count = sum(map(len, self.left_out.values()))
        _warn_once(f"{self.path}: {len(self.files)} read, {count} left out: {'; '.join(reasons)}")


def list_files(path: Path) -> Listing:
    """The corpus files at a path, sorted and all of one format.

    A path to a file is that file, whatever signs its name holds. A folder is searched with its subfolders, linked ones
    included; hidden files, the metadata of `datasets` and other endings are left out.

    Raises:
        InputError: there is no corpus file, there are several formats, or a subfolder cannot be searched.
    """
    listing = Listing(path)
    if path.is_dir():
        for file in sorted(_walk(path)):
            reason = _reason_to_leave_out(file.relative_to(path), file)
            if reason is None:
                listing.files.append(file)
            else:
                listing.left_out[reason].append(str(file.relative_to(path)))
    elif file_format(path) is not None:
        listing.files.append(path)
    if not listing.files:
        raise InputError(
            f"no corpus file at {path}: expected {', '.join(FORMATS)}, or compressed text such as .txt.gz"
        )
    formats = sorted({str(file_format(file)) for file in listing.files})
    if len(formats) > 1:
        raise InputError(f"{path} mixes {' and '.join(formats)} files: keep one format in a folder")
    for file in listing.files:
        if (packed := compression(file)) is not None and packed not in available_compressions():
            package = {"zstd": "zstandard"}.get(packed, packed)
            raise InputError(f"{file}: reading {file.suffix} needs the package {package}: install it")
    if strange := next((file for file in listing.files if "::" in str(file.absolute())), None):
        raise InputError(f"{strange} has `::` in its path, by which `datasets` would read another file: rename it")
    return listing


def file_format(path: Path) -> str | None:
    """The format by the name of a file: text, json, parquet or arrow; None if it is no corpus file."""
    name = path.name.lower()
    packed = compression(path) is not None
    if packed:
        name = name.rpartition(".")[0]
    kind = "text" if SPARK_PART.fullmatch(name) else FORMATS.get(Path(name).suffix)
    return None if packed and kind in ("parquet", "arrow") else kind


def compression(path: Path) -> str | None:
    """The compression by the ending of a file, None if it is not compressed."""
    return COMPRESSIONS.get(path.suffix.lower())


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder and the folders linked there, each folder once."""
    visited = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(root)
        if real in visited:  # a link to a folder above, or a second link
            folders.clear()
            continue
        visited.add(real)
        yield from (Path(root, name) for name in names)


def _raise(error: OSError) -> NoReturn:
    raise InputError(f"the folder {error.filename} cannot be searched ({error.strerror}): make it readable") from error


def _reason_to_leave_out(name: Path, file: Path) -> str | None:
    if any(part.startswith(".") for part in name.parts):
        return "hidden"
    if "_temporary" in name.parts:
        return "of an unfinished Spark job"
    if name.name in METADATA:
        return "metadata of datasets"
    if file_format(name) is None:
        return "with another ending"
    return None if file.is_file() else "no file, or a broken link"


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)
