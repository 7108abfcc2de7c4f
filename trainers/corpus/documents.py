"""Open a corpus: the built-in prose, files on disk, or a data set of the Hub."""

from functools import partial
from pathlib import Path
from types import UnionType
from typing import TypeAlias

import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, Value, load_dataset
from datasets import List as ListFeature
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from ..errors import InputError
from .files import file_format, list_files
from .python_prose import load_prose
from .raw_tables import DOCUMENT
from .readers import columns_of, open_files
from .rows import IDS, check_document_numbers, checked

BUILT_IN = "python-prose"
READ_ERRORS = (OSError, ValueError, RuntimeError, DatasetGenerationError)  # pyarrow's are among these
Documents: TypeAlias = Dataset | IterableDataset


def load_documents(
    name: str,
    *,
    config_name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    text_column: str = "text",
    streaming: bool = False,
    beside: str | None = None,
    skip_bad_files: bool = False,
    vocab_size: int | None = None,
) -> Documents:
    """Open a corpus whose rows are documents, or paragraphs of text files, each of which is a document.

    Args:
        name: `python-prose` (no download), a .txt, .jsonl, .parquet or .arrow file, a folder of them (see
            `list_files`), or a Hub data set. Each paragraph of a text file (text between empty lines) is a row.
        config_name, split, revision: part of a Hub data set.
        text_column: column of the text; a corpus with a column `input_ids` is read as token ids instead.
        streaming: read while iterating; otherwise a memory-mapped copy is made first.
        beside: a second column to return.
        skip_bad_files: skip local files that cannot be read; otherwise they are an error.
        vocab_size: token ids must be below it (None: not checked).

    Returns:
        A data set with the column `text` or `input_ids`, and the column `beside`. Rows of a text file, and of
        `input_ids` if they have it, also have the column `document` (see `with_documents`).

    Raises:
        InputError: there is no such corpus, file or column, or a file or a row of it is wrong (of a stream that is
            raised while iterating).
    """
    if name == BUILT_IN:
        prose = load_prose()
        return prose.to_iterable_dataset() if streaming else prose
    if Path(name).exists():
        documents = _from_files(Path(name), text_column, beside, streaming, skip_bad_files, vocab_size)
    else:
        documents = _from_hub(name, config_name, split, revision, streaming)
        documents = documents.select_columns(_chosen(name, column_names(documents), text_column, beside))
        if isinstance(documents, Dataset):
            check = partial(_check_batch, name=name, vocab_size=vocab_size)
            documents.with_format("arrow").map(check, batched=True, with_indices=True, desc="check")
    content = next(iter(column_names(documents)), None)
    if content is None:  # of a stream, whose first row tells its columns
        raise InputError(f"{name} is empty: add text")
    return documents if content in (IDS, "text") else documents.rename_column(content, "text")


def _from_files(
    path: Path, text_column: str, beside: str | None, streaming: bool, skip_bad_files: bool, vocab_size: int | None
) -> Documents:
    listing = list_files(path)
    schema = columns_of(listing, skip_bad_files)
    chosen = _chosen(str(path), schema.names, text_column, beside, file_format(listing.files[0]) == "text")
    features = Features.from_arrow_schema(pa.schema([schema.field(name) for name in chosen], schema.metadata))
    features[chosen[0]] = ListFeature(Value("int32")) if chosen[0] == IDS else Value("string")
    return open_files(listing, features, chosen[0], vocab_size, streaming, skip_bad_files)


def _from_hub(name: str, config_name: str | None, split: str, revision: str | None, streaming: bool) -> Documents:
    try:
        return load_dataset(name, config_name, split=split, revision=revision, streaming=streaming)
    except DatasetNotFoundError as error:
        raise InputError(f"no file, folder or Hub data set {name!r}: check the path or the name") from error
    except READ_ERRORS as error:
        raise InputError(f"cannot read the corpus {name!r}: {error.__cause__ or error}") from error


def _chosen(name: str, columns: list[str], text_column: str, beside: str | None, is_text: bool = False) -> list[str]:
    """The columns to return, the one of the texts or ids first; `is_text` if the rows are paragraphs of text files."""
    content = IDS if IDS in columns else text_column
    if content not in columns:
        raise InputError(f"{name!r} has no column {content!r}: set text_column to one of {', '.join(columns)}")
    if beside is not None and beside not in columns:
        raise InputError(f"{name!r} has no column {beside!r}: its columns are {', '.join(columns)}")
    chosen = [content] if beside is None else [content, beside]
    if DOCUMENT in columns and (content == IDS or is_text):
        chosen.append(DOCUMENT)
    return list(dict.fromkeys(chosen))


def _check_batch(table: pa.Table, rows: list[int], name: str, vocab_size: int | None) -> None:
    def place(row: int) -> str:
        return f"{name}, row {rows[row] + 1}"

    checked(table, table.column_names[0], vocab_size, place)
    if table.column_names[0] == IDS and DOCUMENT in table.column_names:
        check_document_numbers(table.column(DOCUMENT), place)


def column_names(documents: Documents) -> list[str]:
    """The columns; of some streamed corpora they are known only from the first row."""
    return documents.column_names or list(next(iter(documents), {}))


def check_document(content: object, kind: type | UnionType = object) -> None:
    """Raise InputError if the text or the ids of a row are missing, or not of a kind."""
    if content is None:
        raise InputError("a row of the corpus is empty (null): remove such rows")
    if not isinstance(content, kind):
        raise InputError(f"a row of the corpus holds {content!r:.40}, not a text: convert the column, or name another")
