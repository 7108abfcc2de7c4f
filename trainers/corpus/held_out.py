"""Which documents of a corpus are held out from training."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from datasets import Dataset

from .documents import Documents, check_document, column_names

logger = logging.getLogger(__name__)


def split_held_out(documents: Documents, fraction: float, by: str = "document") -> tuple[Documents, Documents]:
    """Split a corpus into training and held-out documents (see `HeldOut`)."""
    return HeldOut.of(documents, fraction, by).split(documents)


@dataclass(frozen=True)
class HeldOut:
    """The rule by which documents are held out: a hash of the document, or the tail of a corpus of one document.

    A document is on the same side in every run, streamed or not, and so are its duplicates. Rows with the same label
    in the column `document` are one document, so all paragraphs of a text file are on one side. Packed blocks count as
    documents, because a block that holds parts of two documents can be on one side only.

    Attributes:
        fraction: documents whose place (see `_place`) is below it are held out; of one document its last share.
        rows_before_tail: if not None the corpus is one document, and this many of its rows are trained on.
        by: `document`, or `row`, the rule of earlier versions, for which every row is a document.
    """

    fraction: float
    rows_before_tail: int | None = None
    by: str = "document"

    @classmethod
    def of(cls, documents: Documents, fraction: float, by: str = "document") -> "HeldOut":
        """The rule for a corpus: about `fraction` of its documents, and at least one, are held out.

        Reads rows until one of them is held out and one is of another document; of a text file labels alone.

        Raises:
            InputError: a row is empty (null).
        """
        if by == "row":
            return cls(fraction, by=by)
        row: dict[str, Any] = {}
        rows, lowest, highest = 0, 1.0, 0.0
        for row in _labels(documents):
            place = _place(row, by)
            rows, lowest, highest = rows + 1, min(lowest, place), max(highest, place)
            if lowest < min(fraction, highest):
                break
        if isinstance(row.get("document"), list):
            logger.warning(
                "the corpus is packed, so a document may lie in a training and in a held-out block: name the "
                "validation split that `prepare` wrote as eval_dataset"
            )
        if fraction <= lowest < highest:
            return cls(math.nextafter(lowest, 1))
        if lowest == highest and (rows == 1 or "document" in row):
            return cls(fraction, min(max(round(rows * (1 - fraction)), 1), rows - 1))
        return cls(fraction)

    def split(self, documents: Documents) -> tuple[Documents, Documents]:
        """The documents to train on, and the held-out ones."""
        before = self.rows_before_tail
        if before is None:
            sides = [partial(_is_on_side, rule=self, held_out=side) for side in (False, True)]
            return documents.filter(sides[0]), documents.filter(sides[1])
        if before == 0:  # the document is one row
            parts = [partial(_part_of_row, fraction=self.fraction, tail=tail) for tail in (False, True)]
            return documents.map(parts[0]), documents.map(parts[1])
        if isinstance(documents, Dataset):
            return documents.select(range(before)), documents.select(range(before, len(documents)))
        return documents.take(before), documents.skip(before)


def _labels(documents: Documents) -> Iterator[dict[str, Any]]:
    """The rows of a corpus; without their text if they have labels beside it."""
    columns = column_names(documents)
    return iter(documents.select_columns(["document"]) if {"text", "document"} <= set(columns) else documents)


def _place(row: dict[str, Any], by: str) -> float:
    """Where a hash of a row's document, its label or its content, falls between 0 and 1."""
    label = row.get("document")
    is_label = by == "document" and label is not None and not isinstance(label, list)
    content = label if is_label else next(iter(row.values()))
    check_document(content)
    data = content.encode() if isinstance(content, str) else repr(content).encode()
    return int.from_bytes(blake2b(data, digest_size=8).digest()) / 2**64


def _is_on_side(row: dict[str, Any], rule: HeldOut, held_out: bool) -> bool:
    return (_place(row, rule.by) < rule.fraction) is held_out


def _part_of_row(row: dict[str, Any], fraction: float, tail: bool) -> dict[str, Any]:
    """The start of a row's text or ids, or its last `fraction`, which begins at a space if it is text."""
    name, content = next(iter(row.items()))
    cut = round(len(content) * (1 - fraction))
    if isinstance(content, str):
        cut = max(content.rfind(" ", 0, cut + 1), 0) or cut
    return {name: content[cut:] if tail else content[:cut]}
