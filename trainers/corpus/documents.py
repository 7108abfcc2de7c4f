"""Open a corpus: the built-in prose, files on disk, or a data set of the Hub."""

from pathlib import Path
from typing import TypeAlias

from datasets import Dataset, IterableDataset, load_dataset
from datasets.exceptions import DatasetNotFoundError

from ..errors import InputError
from .files import FORMATS, READ_ERRORS, corpus_files, open_files
from .python_prose import python_prose

BUILT_IN = "python-prose"
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
) -> Documents:
    """Open a corpus whose rows are documents, or paragraphs of text files, each of which is a document.

    Args:
        name: `python-prose` (no download), a .txt, .jsonl, .parquet or .arrow file, a folder of them, or a Hub data
            set. Each paragraph of a text file (text between empty lines) is a row.
        config_name, split, revision: part of a Hub data set.
        text_column: column of the text; a corpus with a column `input_ids` is read as token ids instead.
        streaming: read while iterating; otherwise a memory-mapped copy is made first.
        beside: a second column to return.
        skip_bad_files: skip local files that cannot be read (see `corpus_files`); otherwise they are an error.

    Returns:
        A data set with the column `text` or `input_ids`, and the column `beside`. Rows of a text file, and of
        `input_ids` if they have it, also have the column `document` (see `with_documents`).

    Raises:
        InputError: there is no such corpus, file or column, or a file is damaged.
    """
    if name == BUILT_IN:
        prose = Dataset.from_list([{"text": text} for text in python_prose()])
        return prose.to_iterable_dataset() if streaming else prose
    has_text_files = False
    try:
        if Path(name).exists():
            files = corpus_files(Path(name), skip_bad_files)
            documents, has_text_files = open_files(files, streaming), FORMATS[files[0].suffix] == "text"
        else:
            documents = load_dataset(name, config_name, split=split, revision=revision, streaming=streaming)
        columns = column_names(documents)
    except InputError:
        raise
    except DatasetNotFoundError as error:
        raise InputError(f"no file, folder or Hub data set {name!r}: check the path or the name") from error
    except READ_ERRORS as error:
        raise InputError(f"cannot read the corpus {name!r}: {error.__cause__ or error}") from error
    content = "input_ids" if "input_ids" in columns else text_column
    if content not in columns:
        raise InputError(f"{name!r} has no column {content!r}: set text_column to one of {', '.join(columns)}")
    if beside is not None and beside not in columns:
        raise InputError(f"{name!r} has no column {beside!r}: its columns are {', '.join(columns)}")
    chosen = [content] if beside is None else [content, beside]
    if "document" in columns and (content == "input_ids" or has_text_files):
        chosen.append("document")
    documents = documents.select_columns(list(dict.fromkeys(chosen)))
    return documents if content in ("input_ids", "text") else documents.rename_column(content, "text")


def column_names(documents: Documents) -> list[str]:
    """The columns; of some streamed corpora they are known only from the first row."""
    return documents.column_names or list(next(iter(documents), {}))


def check_document(content: str | list[int] | None) -> None:
    """Raise InputError if the text or the ids of a row are missing."""
    if content is None:
        raise InputError("a row of the corpus is empty (null): remove such rows")
