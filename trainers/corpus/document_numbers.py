"""Which document each token of a row comes from, as numbers that agree in every pass, process and run."""

from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ..errors import InputError
from .rows import check_document_numbers, check_ids

# `input_ids` and `document`, both (L,) int32; of a block L is T + 1.
Tokens: TypeAlias = dict[str, np.ndarray]


def document_number(content: str | int | np.ndarray) -> int:
    """The number of a document: 31 bits of a hash of its token ids or of its label.

    Only equality means something. Copies of a document have one number; two other documents share one with
    probability 2^-31.
    """
    data = content.astype(np.int32).tobytes() if isinstance(content, np.ndarray) else repr(content).encode()
    return int.from_bytes(blake2b(data, digest_size=4).digest()) >> 1


def own_numbers(blocks: Tensor) -> Tensor:
    """The (R, T) numbers of blocks (R, T) whose documents are unknown: each is one document, and a copy the same one.

    They are below 0, and so differ from numbers that are known.
    """
    powers = torch.full((blocks.shape[1],), 6364136223846793005, device=blocks.device).cumprod(0)
    content = (blocks.long() * powers).sum(1) & (2**40 - 1)
    return (-2 - content)[:, None].expand_as(blocks)


def with_documents(row: dict[str, Any], end_of_text: int | None, vocab_size: int | None = None) -> Tokens:
    """The L `input_ids` of a row and the `document` of each.

    A column `document` holds the number of each token, or one label for the row. Without it a document ends at
    end-of-text, and a new row is a new document.

    Raises:
        InputError: the row is empty (null), holds something that is no token id (see `check_ids`), or its `document`
            holds another count of numbers than it has ids.
    """
    if row["input_ids"] is None:
        raise InputError("a row of the corpus is empty (null): remove such rows")
    ids, label = check_ids(np.asarray(row["input_ids"]), vocab_size, "a row of the corpus"), row.get("document")
    if label is None:
        ends = np.flatnonzero(ids == end_of_text) + 1
        parts = np.split(ids, ends)
        numbers = np.repeat([document_number(part) for part in parts], [len(part) for part in parts])
    elif np.ndim(label) == 0:
        numbers = np.full(len(ids), document_number(str(label)))
    elif len(label) == len(ids):
        numbers = np.asarray(label)
        if numbers.dtype.kind not in "iu":
            check_document_numbers(pa.chunked_array([[label]]), lambda _: "a row of the corpus")
    else:
        raise InputError(
            f"a row has {len(ids)} input_ids but {len(label)} numbers in the column document: give each id one, "
            "or the row one label"
        )
    return {"input_ids": ids, "document": numbers.astype(np.int32)}
