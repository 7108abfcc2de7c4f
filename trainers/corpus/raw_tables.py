"""Tables of a corpus file as the readers of `datasets` give them, whatever its name and compression."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b, file_digest
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ArrowBasedBuilder
from datasets.packaged_modules.arrow.arrow import Arrow
from datasets.packaged_modules.json.json import Json
from datasets.packaged_modules.parquet.parquet import Parquet
from fsspec.implementations.local import LocalFileSystem

from ..errors import InputError
from .files import compression, file_format

DOCUMENT = "document"
TEXT_SCHEMA = pa.schema({"text": pa.string(), DOCUMENT: pa.int64()})
CHUNK = 10 << 20  #: characters of a text file that are read at a time


def raw_tables(path: Path, columns: tuple[str, ...] | None = None) -> Iterator[pa.Table]:
    """The tables of a file; of a parquet file only `columns`, where that is not None.

    Each paragraph of a text file (text between empty lines) is a row, and its column `document` is a hash of the file.

    Raises:
        InputError: the file cannot be read; names it and, if it is not UTF-8, the line.
    """
    with _errors_of(path):
        try:
            yield from _tables(path, columns)
        except UnicodeDecodeError:
            check_utf8(path)
            raise


def first_schema(path: Path) -> pa.Schema | None:
    """The columns of a file, by its first rows if it is JSON or Arrow; None if it has no rows."""
    if file_format(path) == "text":
        return TEXT_SCHEMA if path.stat().st_size else None
    if file_format(path) == "parquet":
        with _errors_of(path), pq.ParquetFile(path) as file:
            return file.schema_arrow if file.metadata.num_rows else None
    return next((table.schema for table in raw_tables(path) if len(table)), None)


def check_utf8(path: Path) -> None:
    """Raise InputError, with the line, if a text file is not UTF-8."""
    with _errors_of(path), _open(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: not UTF-8 (byte {error.start + 1} of the line): convert the file"
                ) from error


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Raise whatever a reader raises as an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each reader and each compression has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}): repair or remove it, or set --skip_bad_files") from error


def _tables(path: Path, columns: tuple[str, ...] | None) -> Iterator[pa.Table]:
    kind, packed, url = file_format(path), compression(path), str(path.absolute())
    if packed is not None:
        url = f"{packed}://content::{url}"
    if kind == "text":
        number = pa.scalar(_content_number(path), pa.int64())
        for texts in _paragraphs(path):
            yield pa.table([pa.array(texts, pa.string()), pa.repeat(number, len(texts))], TEXT_SCHEMA)
    elif kind == "json":
        yield from (table for _, table in _reader(kind)._generate_tables([url], [[url]], [url]))
    elif kind == "parquet":
        schema = pq.read_schema(path)
        present = None if columns is None else tuple(name for name in columns if name in schema.names)
        yield from (table for _, table in _reader(kind, present or None)._generate_tables([url], [None]))
    else:
        yield from (table for _, table in _reader("arrow")._generate_tables([url]))


def _paragraphs(path: Path) -> Iterator[list[str]]:
    """The texts between empty lines, by chunks, cut as `datasets` does, which cannot decode compressed files."""
    with _open(path) as file, TextIOWrapper(file, encoding="utf-8-sig") as lines:
        parts, held = [], ""  # of the text that goes on, and line ends that may belong to an empty line
        while chunk := lines.read(CHUNK):
            chunk = held + chunk + lines.readline()
            ended = chunk.rstrip("\n")
            held = chunk[len(ended) :]
            start, *others = ended.split("\n\n")
            parts.append(start)
            if others:
                yield [text for text in ("".join(parts), *others[:-1]) if text]
                parts = others[-1:]
        yield [text for text in ("".join(parts) + held).split("\n\n") if text]


def _open(path: Path) -> Any:
    """Open a file to read its bytes, unpacked."""
    return LocalFileSystem().open(path, "rb", compression=compression(path))


@cache
def _reader(kind: str, columns: tuple[str, ...] | None = None) -> ArrowBasedBuilder:
    """The reader of a format. It reads one file at a time, so that each is read as if it were the only one."""
    if kind == "json":
        # Arrow checks no encoding; with one that is not "utf-8" the reader decodes first.
        return Json(encoding="utf-8-sig", parse_agent_traces=False)
    return Parquet(columns=None if columns is None else list(columns)) if kind == "parquet" else Arrow()


def _content_number(path: Path) -> int:
    """A hash of a file, the same if it is compressed."""
    with _open(path) as file:
        return int.from_bytes(file_digest(file, lambda: blake2b(digest_size=8)).digest(), signed=True)
