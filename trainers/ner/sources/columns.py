"""Column files: a word and its tag on each line, among any other columns, and empty lines between sentences."""

from pathlib import Path

from ...errors import InputError
from ...text_lines import read_lines
from ..iob2 import Sentence
from .data_format import DataFormat
from .tag_schemes import to_iob2_tags

# A line that starts a document of CoNLL 2003.
DOCUMENT = "-DOCSTART-"


def read_columns(path: Path, form: DataFormat) -> list[Sentence]:
    """Read sentences whose columns `form` names; lines that start with `#` and a space are comments.

    Columns are separated by tabs, or by any white space in a file without tabs.

    Raises:
        InputError: not UTF-8, a column that a line does not have, an unknown tag, or no sentence.
    """
    token_column, tag_column = form.token_column or 0, -1 if form.tag_column is None else form.tag_column
    lines = read_lines(path)
    separator = "\t" if any("\t" in line for line in lines) else None
    sentences: list[Sentence] = []
    rows: list[tuple[str, str]] = []
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip() or line.startswith(DOCUMENT):
            if rows:
                tokens, tags = map(list, zip(*rows, strict=True))
                where = f"{path}, the sentence that ends before line {number}"
                sentences.append(Sentence(tokens, to_iob2_tags(tags, form.tag_scheme, where)))
                rows = []
            continue
        if line.startswith("# ") or line == "#":
            continue
        columns = line.split(separator)
        try:
            token, tag = columns[token_column].strip(), columns[tag_column].strip()
        except IndexError as error:
            raise InputError(
                f"{path}, line {number}: {len(columns)} columns, but token_column is {token_column} and tag_column "
                f"{tag_column}: name columns that every line has"
            ) from error
        if not token:
            raise InputError(f"{path}, line {number}: empty token")
        rows.append((token, tag))
    if not sentences:
        raise InputError(f"{path}: no sentence in it")
    return sentences
