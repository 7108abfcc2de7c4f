"""From documents to the blocks that a trainer reads: memory-mapped or streamed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, Features, IterableDataset, Sequence, Value
from transformers import PreTrainedTokenizerBase

from .cache import copying
from .document_numbers import Tokens, with_documents
from .documents import Documents, check_document, column_names
from .packing import pack_blocks
from .stream import BlockStream
from .tokenizer import text_ids


def tokenize_documents(documents: Documents, tokenizer: PreTrainedTokenizerBase, num_proc: int | None) -> Documents:
    """Turn a column `text` into `input_ids`, with an end-of-text token after each document; ids stay unchanged."""
    if "text" not in column_names(documents):
        return documents
    encode = partial(_encode, tokenizer=tokenizer)  # no local function, which cannot be sent to a spawned process
    options = {} if isinstance(documents, IterableDataset) else {"num_proc": num_proc, "desc": "tokenize"}
    return documents.map(encode, batched=True, remove_columns=["text"], **options)


def _encode(batch: dict[str, list[str]], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[list[int]]]:
    for text in batch["text"]:
        check_document(text, str)
    return {"input_ids": [[*ids, tokenizer.eos_token_id] for ids in text_ids(tokenizer, batch["text"])]}


def make_blocks(
    documents: Documents,
    tokenizer: PreTrainedTokenizerBase,
    block_size: int,
    num_proc: int | None = None,
    repeat: bool = True,
    shuffle_blocks: int = 1,
    seed: int = 0,
    vocab_size: int | None = None,
) -> Dataset | BlockStream:
    """Tokenize documents and pack them into blocks of T + 1 ids; rows that are such blocks stay unchanged.

    Args:
        documents: rows of `text`, or of `input_ids` that end with an end-of-text token; `document` is read beside them
            (see `with_documents`).
        tokenizer: for rows of text, and for its end-of-text token.
        block_size: T, tokens that a block predicts.
        num_proc: processes that tokenize.
        repeat, shuffle_blocks, seed, vocab_size: of a stream, see `BlockStream`.

    Returns:
        A memory-mapped `Dataset` or, if the corpus is streamed, a `BlockStream`. Rows have T + 1 `input_ids` and the
        `document` of each.

    Raises:
        InputError: fewer tokens than one block (raised while iterating if streamed).
    """
    with copying():
        ids = tokenize_documents(documents, tokenizer, num_proc)
    end = tokenizer.eos_token_id
    packed = ids is documents and _are_blocks(ids, block_size)
    if isinstance(ids, IterableDataset):
        return BlockStream(ids, block_size, packed, repeat, shuffle_blocks, seed, end, vocab_size)
    if packed:
        return ids.with_transform(partial(_as_blocks, end_of_text=end))
    column = Sequence(Value("int32"), length=block_size + 1)
    with copying():
        blocks = Dataset.from_generator(
            _generate_blocks,
            Features({"input_ids": column, "document": column}),
            gen_kwargs={"documents": ids, "block_size": block_size, "end_of_text": end},
        )
    return blocks.with_format("numpy")


def _are_blocks(ids: Documents, block_size: int) -> bool:
    """True if every row (of a stream: the first) is a block of T + 1 ids."""
    if isinstance(ids, IterableDataset):
        return len(next(iter(ids), {"input_ids": []})["input_ids"]) == block_size + 1
    lengths = pc.list_value_length(ids.data.column("input_ids"))
    return len(ids) > 0 and pc.all(pc.equal(lengths, block_size + 1)).as_py()


def _generate_blocks(documents: Dataset, block_size: int, end_of_text: int) -> Iterator[Tokens]:
    rows = (with_documents(row, end_of_text) for row in documents.with_format("numpy"))
    yield from pack_blocks(rows, block_size)


def _as_blocks(columns: dict[str, list[Any]], end_of_text: int) -> dict[str, list[np.ndarray]]:
    """Turn packed rows into blocks when they are read, which saves a copy of the corpus with one more column."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    blocks = [with_documents(row, end_of_text) for row in rows]
    return {name: [block[name] for block in blocks] for name in ("input_ids", "document")}
