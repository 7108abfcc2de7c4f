"""How the labelled sentences of a user's own files are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...checks import check_choice
from ...errors import InputError
from ..iob2 import Sentence
from .tag_schemes import SCHEMES


@dataclass(frozen=True)
class DataFormat:
    """Where tokens and tags are, how tags are written, and what their classes are called.

    Attributes:
        token_column, tag_column: of column files, from 0, or from -1 backwards; None for the columns of Universal NER
            or the only two.
        tag_scheme: one of SCHEMES.
        label_map: new names of classes, in pairs FROM=TO; TO is O for what is no entity.

    Raises:
        InputError: an unknown scheme, or a pair that is none.
    """

    token_column: int | None = None
    tag_column: int | None = None
    tag_scheme: str = "iob2"
    label_map: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_choice("tag_scheme", self.tag_scheme, SCHEMES)
        if (self.token_column is None) != (self.tag_column is None):
            raise InputError("token_column and tag_column belong together: give both")
        for pair in self.label_map:
            if len(pair.split("=")) != 2 or not all(pair.split("=")):
                raise InputError(f"label_map has FROM=TO pairs, got {pair!r}")

    def rename(self, sentences: list[Sentence]) -> list[Sentence]:
        """Give the classes their new names."""
        names = dict(pair.split("=") for pair in self.label_map)
        return [replace(s, tags=[_renamed(tag, names) for tag in s.tags]) for s in sentences] if names else sentences


def _renamed(tag: str, names: dict[str, str]) -> str:
    name = names.get(tag[2:], tag[2:])
    return "O" if tag == "O" or name == "O" else tag[:2] + name
