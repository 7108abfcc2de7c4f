"""The files of a corpus on disk: which ones a path names, and which of them can be read."""

import json
import logging
from pathlib import Path

import pyarrow
import pyarrow.ipc
from pyarrow import parquet

from ..errors import InputError

logger = logging.getLogger(__name__)

# Suffix of a file -> the name of its format for `load_dataset`.
FORMATS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}


def corpus_files(path: Path, skip_bad_files: bool = False) -> list[Path]:
    """The corpus files at a path, sorted and all of one format.

    Args:
        path: a file, or a folder that is searched with its subfolders.
        skip_bad_files: read every file once and leave out those that cannot be read, which are logged as a warning.

    Raises:
        InputError: there is no file, no readable file or several formats, or (if bad files are not skipped) a text
            file is not UTF-8.
    """
    candidates = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in candidates if file.suffix in FORMATS]
    if not files:
        raise InputError(f"no corpus file at {path}: expected {', '.join(FORMATS)}")
    formats = sorted({FORMATS[file.suffix] for file in files})
    if len(formats) > 1:
        raise InputError(f"{path} mixes {' and '.join(formats)} files: keep one format in a folder")
    if skip_bad_files:
        return _readable(files)
    if formats == ["text"]:
        for file in files:
            check_utf8(file)
    return files


def check_utf8(path: Path) -> None:
    """Raise InputError, with the line, if a text file is not UTF-8."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: not UTF-8 (byte {error.start + 1} of the line): convert the file"
                ) from error


def _readable(files: list[Path]) -> list[Path]:
    good, bad = [], []
    for file in files:
        try:
            _read_whole(file)
            good.append(file)
        except (InputError, OSError, ValueError) as error:  # pyarrow's errors are among these
            bad.append(f"{file} ({' '.join(str(error).split())})")
    if not good:
        raise InputError(f"no corpus file can be read: {'; '.join(bad)}")
    if bad:
        logger.warning("%d of %d corpus files are skipped: %s", len(bad), len(files), "; ".join(bad))
    return good


def _read_whole(path: Path) -> None:
    """Read a corpus file once, which raises an error if it is damaged."""
    kind = FORMATS[path.suffix]
    if kind == "text":
        check_utf8(path)
    elif kind == "parquet":
        for _ in parquet.ParquetFile(path).iter_batches():
            pass
    elif kind == "arrow":
        with pyarrow.memory_map(str(path)) as source:
            for _ in pyarrow.ipc.open_stream(source):
                pass
    else:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                json.loads(line)
