"""One part of a corpus becomes one parquet file of packed blocks, independent of all others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, IterableDataset
from datasets import logging as datasets_logging
from transformers import PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.corpus import load_tokenizer
from ...trainers.corpus.blocks import tokenize_documents
from ...trainers.corpus.document_numbers import Tokens, with_documents
from ...trainers.corpus.documents import Documents, load_documents
from ...trainers.corpus.held_out import HeldOut
from ...trainers.corpus.packing import pack_blocks
from ...trainers.runs.json_files import read_json, write_json
from ...trainers.runs.whole_file import delete_unfinished, written_whole
from .arguments import PrepareArguments

TOKENIZER, PROGRESS = "tokenizer", ".progress"
COUNTS, HELD_OUT = "json", "held-out.parquet"
# Training that resumes in the middle of a file reads at most this many rows again.
ROW_GROUP = 256


@dataclass(frozen=True)
class Plan:
    """The arguments, the output folder, the number of parts and the rule by which documents are held out."""

    args: PrepareArguments
    folder: Path
    parts: int
    held_out: HeldOut

    def part(self, index: int) -> tuple[Documents, Documents]:
        """The documents of one part to train on, and its held-out ones, streamed so that no copy of them is cached."""
        documents = self.args.documents()
        if isinstance(documents, IterableDataset):
            return self.held_out.split(documents.shard(self.parts, index))
        if self.held_out.rows_before_tail is None:
            return self.held_out.split(self._shard(documents, index))
        train, held_out = self.held_out.split(documents)  # the tail is that of the whole corpus
        return self._shard(train, index), self._shard(held_out, index)

    def _shard(self, documents: Dataset, index: int) -> IterableDataset:
        return documents.shard(self.parts, index, contiguous=True).to_iterable_dataset()

    def progress_path(self, index: int, suffix: str) -> Path:
        """Path of a temporary file of a part: its counts (written when it is finished) or held-out documents."""
        return self.folder / PROGRESS / f"{index:05d}.{suffix}"

    def records(self) -> list[dict[str, Any]]:
        """The counts of all parts, which must be finished."""
        return [read_json(self.progress_path(index, COUNTS)) for index in range(self.parts)]


def write_part(plan: Plan, index: int) -> None:
    """Write the held-out documents of a part, its shard and last its record; a part with a record is finished.

    Raises:
        InputError: the part has text to train on, but fewer tokens than one block.
    """
    record = plan.progress_path(index, COUNTS)
    if record.exists():
        return
    datasets_logging.set_verbosity_error()
    tokenizer = load_tokenizer(str(plan.folder / TOKENIZER))
    counts = {"documents": 0, "tokens": 0, "held_out_documents": 0, "held_out_tokens": 0}
    train, held_out = plan.part(index)
    write_rows(plan.progress_path(index, HELD_OUT), tokenized(held_out, tokenizer, counts, "held_out_"))
    name = f"train/train-{index:05d}-of-{plan.parts:05d}.parquet"
    shard = None
    try:
        shard = write_shard(plan, name, tokenized(train, tokenizer, counts, ""))
    except InputError as error:
        if counts["documents"] > 0:  # without, the part is held out as a whole and has no shard
            raise InputError(f"shard {index + 1} of {plan.parts}: {error}; or raise documents_per_shard") from error
    write_json(record, {**counts, "shard": shard})


def pack_held_out(plan: Plan) -> dict[str, Any] | None:
    """Pack the held-out documents of all parts into one shard; None if they do not fill a block."""
    tables = (pq.read_table(plan.progress_path(index, HELD_OUT)) for index in range(plan.parts))
    rows = (with_documents(row, None) for table in tables for row in table.to_pylist())
    try:
        return write_shard(plan, "validation/validation-00000-of-00001.parquet", rows)
    except InputError:
        return None


def write_shard(plan: Plan, name: str, documents: Iterable[Tokens]) -> dict[str, Any]:
    """Pack the tokens of documents into a file of blocks; returns the entry of the manifest."""
    path = plan.folder / name
    blocks = write_rows(path, pack_blocks(documents, plan.args.block_size))
    return {"file": name, "blocks": blocks, "bytes": path.stat().st_size, "sha256": _sha256(path)}


def check_shard(folder: Path, entry: dict[str, Any], vocab_size: int) -> None:
    """Raise InputError if a file of the manifest is absent or changed, or holds what is no id of the vocabulary."""
    path = folder / entry["file"]
    if not path.is_file():
        raise InputError(f"{path} is gone, but the manifest names it: prepare into another output_dir")
    for _ in load_documents(str(path), streaming=True, vocab_size=vocab_size).with_format("arrow").iter(ROW_GROUP):
        pass
    if _sha256(path) != entry["sha256"]:
        raise InputError(f"{path} is not the file that was written: prepare into another output_dir")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def tokenized(
    documents: Documents, tokenizer: PreTrainedTokenizerBase, counts: dict[str, int], prefix: str
) -> Iterator[Tokens]:
    """Yield the tokens of each document and add them to `counts`."""
    for row in tokenize_documents(documents, tokenizer, None):
        tokens = with_documents(row, tokenizer.eos_token_id)
        counts[f"{prefix}documents"] += 1
        counts[f"{prefix}tokens"] += len(tokens["input_ids"])
        yield tokens


def write_rows(path: Path, rows: Iterable[Tokens]) -> int:
    """Write rows of tokens to a parquet file, renamed when complete; returns the number of rows."""
    delete_unfinished(path)
    schema = pa.schema([(name, pa.list_(pa.int32())) for name in ("input_ids", "document")])
    written, remaining = 0, iter(rows)
    with written_whole(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        while group := list(islice(remaining, ROW_GROUP)):
            file.write_table(pa.table({name: [row[name] for row in group] for name in schema.names}, schema))
            written += len(group)
    return written
