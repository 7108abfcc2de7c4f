"""Files and folders of a user's own labelled sentences."""

from pathlib import Path

from ...tuning.splits import files_by_split
from ..iob2 import Sentence, read_iob2
from .columns import read_columns
from .data_format import DataFormat
from .spans import read_spans

SPANS = {".jsonl", ".json"}
COLUMNS = {".iob2", ".iob", ".bio", ".bilou", ".conll", ".tsv", ".txt"}


def read_file(path: Path, form: DataFormat) -> list[Sentence]:
    """Read a file by its suffix: spans in JSON lines, IOB2 as in Universal NER, or any other columns."""
    if path.suffix in SPANS:
        return read_spans(path)
    if path.suffix == ".iob2" and form.token_column is None and form.tag_scheme == "iob2":
        return read_iob2(path)
    return read_columns(path, form)


def read_own_folder(folder: Path, form: DataFormat) -> dict[str, list[Sentence]]:
    """Read the files of a folder whose names end with train, dev or test; several of a split are joined.

    Raises:
        InputError: no file has such a name.
    """
    files = files_by_split(folder, SPANS | COLUMNS, "train.conll or x-dev.iob2")
    return {split: [s for path in paths for s in read_file(path, form)] for split, paths in files.items()}
