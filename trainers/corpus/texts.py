"""The texts of a corpus one by one, as token ids, for figures that are means over texts."""

from itertools import islice

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .documents import Documents, check_document
from .tokenizer import text_ids


def first_texts(documents: Documents, tokenizer: PreTrainedTokenizerBase, count: int, length: int) -> list[Tensor]:
    """Return the first `count` documents as (L,) int64 ids, each cut after `length` ids, without end-of-text.

    Documents of a single token, of which nothing can be predicted, are not among them. A row of token ids is one text.

    Raises:
        InputError: a row is empty (null).
    """

    def token_ids(row: dict) -> list[int]:
        content = row["text"] if "text" in row else row["input_ids"]
        check_document(content)
        if isinstance(content, str):
            return text_ids(tokenizer, [content])[0][:length]
        ids = list(content[: length + 1])
        return (ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids)[:length]

    texts = (torch.tensor(ids) for ids in map(token_ids, documents) if len(ids) > 1)
    return list(islice(texts, count))
