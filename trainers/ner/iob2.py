"""A strict reader of IOB2 files, with the conventions of Universal NER (Mayhew et al. 2024)."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
# Universal NER leaves "other" entities out, and its files hold one misspelt tag.
MAPPED_TO_O = {"B-OTH", "I-OTH", "B-O"}
# Tab-separated columns: id, token, tag, two of annotation (Universal NER); or token and tag alone.
TOKEN_AND_TAG = {5: (1, 2), 2: (0, 1)}


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence and the tag of each, from `LABELS`."""

    tokens: list[str]
    tags: list[str]


def read_iob2(path: Path) -> list[Sentence]:
    """Read sentences, which empty lines part; lines that start with `# ` are comments.

    OTH entities become O; an I- tag without its B- is kept, as Universal NER does.

    Raises:
        InputError: no such file, not UTF-8, wrong columns, an unknown tag, or no sentence (names file and line).
    """
    if not path.is_file():
        raise InputError(f"no file {path}: check the path")
    sentences: list[Sentence] = []
    tokens: list[str] = []
    tags: list[str] = []
    columns = None
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start + 1}: convert the file") from error
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if tokens:
                sentences.append(Sentence(tokens, tags))
                tokens, tags = [], []
            continue
        if line.startswith("# ") or line == "#":
            continue
        parts = line.rstrip("\r").split("\t")
        columns = columns or len(parts)
        if len(parts) not in TOKEN_AND_TAG or len(parts) != columns:
            raise InputError(
                f"{path}, line {number}: {len(parts)} columns, expected 5 (id, token, tag, misc, annotator) or "
                "2 (token, tag), the same on every line, separated by tabs"
            )
        token, tag = (parts[column] for column in TOKEN_AND_TAG[columns])
        tag = "O" if tag in MAPPED_TO_O else tag
        if tag not in LABELS:
            raise InputError(f"{path}, line {number}: unknown tag {tag!r}, expected one of {', '.join(LABELS)}")
        if not token.strip():
            raise InputError(f"{path}, line {number}: empty token")
        tokens.append(token)
        tags.append(tag)
    if not sentences:
        raise InputError(f"{path}: no sentence in it")
    return sentences
