"""Reading a corpus: the built-in prose, text, JSON lines or parquet files, or a data set of the Hub."""

import json
import logging
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import pyarrow
import pyarrow.ipc
from datasets import Dataset, IterableDataset, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from pyarrow import parquet

from ..errors import InputError
from .python_prose import python_prose

logger = logging.getLogger(__name__)

BUILT_IN = "python-prose"
FORMATS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}
Documents: TypeAlias = Dataset | IterableDataset


def load_documents(
    name: str,
    *,
    config_name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    text_column: str = "text",
    streaming: bool = False,
    skip_bad_files: bool = False,
) -> Documents:
    """Open a corpus whose rows are documents.

    Args:
        name: `python-prose` (no download), a .txt, .jsonl, .parquet or .arrow file, a folder of them, or a Hub name.
            In a text file a document is a paragraph (text between empty lines).
        config_name, split, revision: which part of a Hub data set.
        text_column: the column that holds the text; a corpus with a column `input_ids` is taken as tokenised.
        streaming: read while training instead of building a memory-mapped copy first.
        skip_bad_files: leave out local files that cannot be read to their end, which are named and counted in the log.

    Returns:
        A data set with a single column, `text` or `input_ids`.

    Raises:
        InputError: nothing there, nothing readable in it, a broken file, or no such column.
    """
    if name == BUILT_IN:
        documents: Documents = Dataset.from_list([{"text": text} for text in python_prose()])
        return documents.to_iterable_dataset() if streaming else documents
    try:
        if Path(name).exists():
            files = data_files(Path(name), skip_bad_files)
            kind = FORMATS[files[0].suffix]
            options = {"sample_by": "paragraph"} if kind == "text" else {}
            paths = [str(file) for file in files]
            documents = load_dataset(kind, data_files=paths, split="train", streaming=streaming, **options)
        else:
            documents = load_dataset(name, config_name, split=split, revision=revision, streaming=streaming)
        columns = column_names(documents)
    except InputError:
        raise
    except DatasetNotFoundError as error:
        raise InputError(f"no file, folder or Hub data set {name!r}: check the path or the name") from error
    except (OSError, ValueError, RuntimeError, DatasetGenerationError) as error:
        reason = error.__cause__ or error
        raise InputError(f"cannot read the corpus {name!r}: {reason}") from error
    wanted = "input_ids" if "input_ids" in columns else text_column
    if wanted not in columns:
        raise InputError(f"{name!r} has no column {wanted!r}: set text_column to one of {', '.join(columns)}")
    documents = documents.select_columns([wanted])
    return documents if wanted == "input_ids" or wanted == "text" else documents.rename_column(wanted, "text")


def column_names(documents: Documents) -> list[str]:
    """The columns; a streamed corpus may tell them only in its first row."""
    return documents.column_names or list(next(iter(documents), {}))


def data_files(path: Path, skip_bad_files: bool = False) -> list[Path]:
    """The corpus files at a path, in a fixed order, all of one format; text files are checked to be UTF-8.

    Raises:
        InputError: none, several formats, or bytes that are not UTF-8 (file and position).
    """
    candidates = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in candidates if file.suffix in FORMATS]
    if not files:
        raise InputError(f"no corpus file at {path}: expected {', '.join(FORMATS)}")
    kinds = sorted({FORMATS[file.suffix] for file in files})
    if len(kinds) > 1:
        raise InputError(f"{path} mixes {' and '.join(kinds)} files: keep one format in a folder")
    if skip_bad_files:
        return readable(files)
    if kinds == ["text"]:
        for file in files:
            check_utf8(file)
    return files


def readable(files: list[Path]) -> list[Path]:
    """The files that can be read to their end; the others are named in the log.

    Raises:
        InputError: there is none.
    """
    good, bad = [], []
    for file in files:
        try:
            read_whole(file)
            good.append(file)
        except (InputError, OSError, ValueError) as error:
            bad.append(f"{file} ({' '.join(str(error).split())})")
    if not good:
        raise InputError(f"no corpus file can be read: {'; '.join(bad)}")
    if bad:
        logger.warning("%d of %d corpus files are skipped: %s", len(bad), len(files), "; ".join(bad))
    return good


def read_whole(path: Path) -> None:
    """Read a corpus file once.

    Raises:
        InputError, OSError, ValueError: it is damaged (pyarrow's errors are among these).
    """
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


def check_utf8(path: Path) -> None:
    """Read a text file once.

    Raises:
        InputError: it holds bytes that are not UTF-8 (names the file and the line).
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: not UTF-8 (byte {error.start + 1} of the line): convert the file"
                ) from error


def split_held_out(documents: Documents, fraction: float) -> tuple[Documents, Documents]:
    """Part documents into training and held-out ones by a hash of their content.

    The same document falls on the same side in every run, streamed or not, and a duplicate never on both.

    Args:
        fraction: share of documents held out, between 0 and 1.
    """

    def held_out(row: dict) -> bool:
        (content,) = row.values()
        if content is None:
            raise InputError("a row of the corpus is empty (null): remove such rows")
        data = content.encode() if isinstance(content, str) else repr(list(content)).encode()
        return int.from_bytes(blake2b(data, digest_size=8).digest()) < fraction * 2**64

    return documents.filter(lambda row: not held_out(row)), documents.filter(held_out)
