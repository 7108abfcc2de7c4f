"""Files and folders of a user's own labelled sentences."""

import re
from pathlib import Path

from ...errors import InputError
from ..iob2 import Sentence, read_iob2
from .columns import read_columns
from .data_format import DataFormat
from .spans import read_spans

SPANS = {".jsonl", ".json"}
COLUMNS = {".iob2", ".iob", ".bio", ".bilou", ".conll", ".tsv", ".txt"}
# The end of a file's name, without its suffix, that tells its split.
ENDINGS = {"train": "train", "validation": "dev|valid|validation|testa", "test": "test|testb"}


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
    files = [path for path in sorted(folder.iterdir()) if path.suffix in SPANS | COLUMNS and path.is_file()]
    splits = {}
    for split, endings in ENDINGS.items():
        own = [path for path in files if re.search(rf"(?:^|[-_.])(?:{endings})$", path.stem)]
        if own:
            splits[split] = [sentence for path in own for sentence in read_file(path, form)]
    if not splits:
        raise InputError(
            f"{folder} has no file whose name ends with train, dev or test, such as train.conll or x-dev.iob2: it "
            f"holds {', '.join(path.name for path in files[:5]) or 'no labelled file'}"
        )
    return splits
