"""From a part of a corpus to one parquet file of packed blocks: independent of all others, whole or absent."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import IterableDataset
from datasets import logging as datasets_logging
from transformers import PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.corpus import load_tokenizer, split_held_out
from ...trainers.corpus.blocks import tokenize_documents
from ...trainers.corpus.documents import Documents
from ...trainers.corpus.packing import pack_blocks
from ...trainers.runs.json_files import write_json
from .arguments import PrepareArguments

TOKENIZER = "tokenizer"
# Rows that are read at once, and so the most that are read for nothing when training goes on in the middle of a file.
ROW_GROUP = 256


@dataclass(frozen=True)
class Plan:
    """What is prepared, where, and in how many files."""

    args: PrepareArguments
    folder: Path
    parts: int

    def part(self, index: int) -> IterableDataset:
        """The documents of one shard, read as they are needed: nothing of them is cached."""
        documents = self.args.documents()
        if isinstance(documents, IterableDataset):
            return documents.shard(self.parts, index)
        return documents.shard(self.parts, index, contiguous=True).to_iterable_dataset()

    def record_path(self, index: int) -> Path:
        """Where a part says that it is done."""
        return self.folder / ".progress" / f"{index:05d}.json"

    def held_out_path(self, index: int) -> Path:
        """Where a part leaves its held-out documents until all are there."""
        return self.folder / ".progress" / f"{index:05d}.held-out.parquet"

    def records(self) -> list[dict[str, Any]]:
        """The records of all parts, once they are done."""
        return [json.loads(self.record_path(index).read_text()) for index in range(self.parts)]


@dataclass(frozen=True)
class Shard:
    """What the manifest says of a file: its name, rows of block_size + 1 ids, bytes and SHA-256."""

    file: str
    blocks: int
    bytes: int
    sha256: str


def write_part(plan: Plan, index: int) -> None:
    """Write the held-out rows of a part, its train file, and last its record; nothing where the record is there.

    Raises:
        InputError: the part is shorter than a block.
    """
    record = plan.record_path(index)
    if record.exists():
        return
    datasets_logging.set_verbosity_error()
    tokenizer = load_tokenizer(str(plan.folder / TOKENIZER))
    counts = {"documents": 0, "tokens": 0, "held_out_documents": 0, "held_out_tokens": 0}
    train, held_out = split_held_out(plan.part(index), plan.args.held_out_fraction)
    name = f"train/train-{index:05d}-of-{plan.parts:05d}.parquet"
    write_rows(plan.held_out_path(index), tokenized(held_out, tokenizer, counts, "held_out_"))
    packed = pack_blocks(tokenized(train, tokenizer, counts, ""), plan.args.block_size)
    try:
        blocks = write_rows(plan.folder / name, packed)
    except InputError as error:
        raise InputError(f"shard {index + 1} of {plan.parts}: {error}; or raise documents_per_shard") from error
    write_json(record, {**counts, "shard": asdict(describe(plan.folder, name, blocks))})


def pack_held_out(plan: Plan) -> Shard | None:
    """Pack what all parts held out into one file; None where that does not fill a block."""
    name = "validation/validation-00000-of-00001.parquet"
    rows = (
        np.asarray(row)
        for index in range(plan.parts)
        for row in pq.read_table(plan.held_out_path(index)).column("input_ids").to_pylist()
    )
    try:
        return describe(plan.folder, name, write_rows(plan.folder / name, pack_blocks(rows, plan.args.block_size)))
    except InputError:
        return None


def tokenized(
    documents: Documents, tokenizer: PreTrainedTokenizerBase, counts: dict[str, int], prefix: str
) -> Iterator[np.ndarray]:
    """Token ids of each document, counted."""
    for row in tokenize_documents(documents, tokenizer, None):
        ids = np.asarray(row["input_ids"], dtype=np.int32)
        counts[f"{prefix}documents"] += 1
        counts[f"{prefix}tokens"] += len(ids)
        yield ids


def write_rows(path: Path, rows: Iterable[np.ndarray]) -> int:
    """Write rows of ids as a parquet file, whole or not at all; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    schema = pa.schema([("input_ids", pa.list_(pa.int32()))])
    written = 0
    waiting = iter(rows)
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as file:
            while group := list(islice(waiting, ROW_GROUP)):
                file.write_table(pa.table({"input_ids": group}, schema))
                written += len(group)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return written


def describe(folder: Path, name: str, blocks: int) -> Shard:
    """A file as the manifest has it."""
    with (folder / name).open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return Shard(name, blocks, (folder / name).stat().st_size, digest)
