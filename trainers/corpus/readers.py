"""Opens corpus files of one format, memory-mapped or streamed, and checks each row that is read."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa
from datasets import ArrowBasedBuilder, BuilderConfig, Dataset, DatasetInfo, Features, IterableDataset, SplitGenerator
from datasets.builder import Key
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.fingerprint import Hasher

from ..errors import InputError
from . import raw_tables, rows
from .cache import copying
from .files import Listing, file_format


@dataclass
class CorpusConfig(BuilderConfig):
    """What is read of the files.

    Attributes:
        content: the column of the texts, or `input_ids`.
        vocab_size: of token ids (see `rows.checked`).
        columns: the columns that are returned, and their types.
    """

    content: str = "text"
    vocab_size: int | None = None
    columns: Features | None = None


class CorpusFiles(ArrowBasedBuilder):
    """Rows of files of one format; each file is a shard of the stream."""

    BUILDER_CONFIG_CLASS = CorpusConfig

    def _info(self) -> DatasetInfo:
        return DatasetInfo()

    def _split_generators(self, dl_manager: object) -> list[SplitGenerator]:
        return [SplitGenerator("train", {"files": list(self.config.data_files["train"])})]

    def _generate_shards(self, files: list[str]) -> Iterator[str]:
        yield from files

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[Key, pa.Table]]:
        for shard, path in enumerate(files):
            for batch, table in enumerate(self.tables(Path(path))):
                yield Key(shard, batch), table

    def tables(self, path: Path) -> Iterator[pa.Table]:
        """Read a file; raise InputError with its name, and with the row if that is wrong."""
        schema, content, before = self.config.columns.arrow_schema, self.config.content, 0
        for table in raw_tables.raw_tables(path, tuple(schema.names)):
            if not len(table):  # of a file of empty lines, without columns
                continue
            if content not in table.column_names:
                raise InputError(f"{path} has no column {content!r}, only {', '.join(table.column_names)}")
            place = _Place(path, before)
            table = rows.checked(table, content, self.config.vocab_size, place)
            if content == rows.IDS and raw_tables.DOCUMENT in table.column_names:
                rows.check_document_numbers(table.column(raw_tables.DOCUMENT), place)
            columns = [
                table.column(name) if name in table.column_names else pa.nulls(len(table), schema.field(name).type)
                for name in schema.names
            ]
            try:
                yield pa.table(columns, schema.names).cast(schema)
            except pa.ArrowInvalid as error:
                raise InputError(f"{place(0)}: {error}: the first file has a column of {schema}") from error
            before += len(table)


@dataclass(frozen=True)
class _Place:
    """Names a row of a file, from its index in a table that begins after `before` rows."""

    path: Path
    before: int

    def __call__(self, row: int) -> str:
        return f"{self.path}, row {self.before + row + 1}"


def columns_of(listing: Listing, skip_bad_files: bool) -> pa.Schema:
    """The columns of the first file that has rows; a file that cannot be read is an error, or else skipped."""
    errors = []
    for file in listing.files:
        try:
            schema = raw_tables.first_schema(file)
        except InputError as error:
            if not skip_bad_files:
                raise
            errors.append(str(error))
            continue
        if schema is not None:
            return schema
    if errors:
        raise InputError(f"no corpus file can be read: {'; '.join(errors)}")
    raise InputError(f"{listing.path} is empty: add text")


def open_files(
    listing: Listing, columns: Features, content: str, vocab_size: int | None, streaming: bool, skip_bad_files: bool
) -> Dataset | IterableDataset:
    """Open the files of a listing, and log what is left out of it.

    Args:
        columns: the columns to return, and their types.
        content: the one of the texts, or `input_ids`.
        vocab_size: ids must be below it.
        streaming: read while iterating; otherwise a memory-mapped copy is made first.
        skip_bad_files: read every file once, and leave out those that are an error.

    Raises:
        InputError: a file or a row cannot be read (of a stream raised while iterating, but for text that is no UTF-8).
    """
    with copying():
        return _open_files(listing, columns, content, vocab_size, streaming, skip_bad_files)


def _open_files(
    listing: Listing, columns: Features, content: str, vocab_size: int | None, streaming: bool, skip_bad_files: bool
) -> Dataset | IterableDataset:
    options = {"columns": columns, "content": content, "vocab_size": vocab_size if content == rows.IDS else None}
    is_text = file_format(listing.files[0]) == "text"
    if not (streaming and is_text):  # a stream of text whose types are known has other positions
        options["features"] = columns
    if skip_bad_files:
        leave_out_bad_files(listing, _builder(listing.files, options))
    elif streaming and is_text:
        for file in listing.files:
            raw_tables.check_utf8(file)
    listing.report()
    builder = _builder(listing.files, options)
    if streaming:
        return builder.as_streaming_dataset("train")
    builder.download_and_prepare()
    if builder.info.splits["train"].num_examples == 0:
        raise InputError(f"{listing.path} is empty: add text")
    return builder.as_dataset("train")


def leave_out_bad_files(listing: Listing, reader: CorpusFiles) -> None:
    """Move files to `left_out` that the reader cannot read; raise InputError if none is left."""
    good = []
    for file in listing.files:
        try:
            for _ in reader.tables(file):
                pass
            good.append(file)
        except InputError as error:
            listing.left_out["bad"].append(str(error))
    if not good:
        raise InputError(f"no corpus file can be read: {'; '.join(listing.left_out['bad'])}")
    listing.files = good


def _builder(files: list[Path], options: dict) -> CorpusFiles:
    """The builder of files, whose cached copy is made anew if a file, these readers or `datasets` change."""
    # A list with its metadata is taken literally; a list of names would be read as patterns.
    names = [str(file.absolute()) for file in files]
    data_files = DataFilesDict({"train": DataFilesList(names, [_identity(file) for file in files])})
    version = [inspect.getsource(module) for module in (raw_tables, rows)] + [datasets.__version__]
    return CorpusFiles(data_files=data_files, hash=Hasher.hash(version), **options)


def _identity(file: Path) -> tuple[str, ...]:
    """What differs if the content of a file differs; the time of its last change cannot be put back."""
    status = file.stat()
    return tuple(map(str, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)))
