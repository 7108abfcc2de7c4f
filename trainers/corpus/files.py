"""The files of a corpus on disk: which ones a path names, which can be read, and how they are opened."""

import logging
from pathlib import Path

from datasets import Dataset, IterableDataset, load_dataset
from datasets.exceptions import DatasetGenerationError

from ..errors import InputError
from .text_files import TextFiles

logger = logging.getLogger(__name__)

# Suffix of a file -> the name of its format for `load_dataset`.
FORMATS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}
READ_ERRORS = (OSError, ValueError, RuntimeError, DatasetGenerationError)  # pyarrow's are among these


def corpus_files(path: Path, skip_bad_files: bool = False) -> list[Path]:
    """The corpus files at a path, sorted and all of one format.

    Args:
        path: a file, or a folder that is searched with its subfolders.
        skip_bad_files: read every file once, leave out those that cannot be read and log them as a warning.

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


def open_files(files: list[Path], streaming: bool) -> Dataset | IterableDataset:
    """Open files of one format; each paragraph of a text file is a row (see `TextFiles`)."""
    kind, paths = FORMATS[files[0].suffix], [str(file) for file in files]
    if kind != "text":
        return load_dataset(kind, data_files=paths, split="train", streaming=streaming)
    builder = TextFiles(data_files=paths, sample_by="paragraph")
    if streaming:
        return builder.as_streaming_dataset("train")
    builder.download_and_prepare()
    return builder.as_dataset("train")


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
            for _ in open_files([file], streaming=True).with_format("arrow").iter(1000):
                pass
            good.append(file)
        except READ_ERRORS as error:
            bad.append(f"{file} ({' '.join(str(error).split())})")
    if not good:
        raise InputError(f"no corpus file can be read: {'; '.join(bad)}")
    if bad:
        logger.warning("%d of %d corpus files are skipped: %s", len(bad), len(files), "; ".join(bad))
    return good
