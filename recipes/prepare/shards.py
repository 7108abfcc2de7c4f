"""One part of a corpus becomes one parquet file of packed blocks, independent of all others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import file_digest
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, IterableDataset
from datasets import logging as datasets_logging
from transformers import PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.corpus import load_tokenizer
from ...trainers.corpus.document_numbers import Tokens, with_documents
from ...trainers.corpus.documents import Documents, check_document, load_documents
from ...trainers.corpus.held_out import HeldOut
from ...trainers.corpus.packing import pack_blocks
from ...trainers.corpus.tokenizer import text_ids
from ...trainers.runs.json_files import read_json
from ...trainers.runs.whole_file import delete_unfinished, written_whole
from ...trainers.runs.work_folder import WorkFolder
from .arguments import PrepareArguments

TOKENIZER, PROGRESS = "tokenizer", ".progress"
# Documents that are tokenized together.
DOCUMENTS_AT_ONCE = 1000
# Training that resumes in the middle of a file reads at most this many rows again.
ROW_GROUP = 256


@dataclass(frozen=True)
class Part:
    """One of the parts of a corpus, which one worker writes."""

    index: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.index:05d}"

    def describe(self) -> dict[str, Any]:
        """The first entries of its record."""
        return {"part": self.index}


@dataclass(frozen=True)
class Plan:
    """The arguments, the output folder, the number of parts and the rule by which documents are held out."""

    args: PrepareArguments
    folder: Path
    count: int
    held_out: HeldOut

    @property
    def work(self) -> WorkFolder:
        """Where workers claim parts and leave their counts; it is deleted at the end."""
        return WorkFolder(self.folder / PROGRESS)

    @property
    def parts(self) -> list[Part]:
        """All parts."""
        return [Part(index) for index in range(self.count)]

    @cached_property
    def corpus(self) -> Documents:
        """All documents, opened once by each worker: a stream of text is checked as a whole when it is opened."""
        return self.args.documents()

    def documents(self, part: Part) -> tuple[Documents, Documents]:
        """The documents of one part to train on, and its held-out ones, streamed so that no copy of them is cached."""
        documents = self.corpus
        if isinstance(documents, IterableDataset):
            return self.held_out.split(documents.shard(self.count, part.index))
        if self.held_out.rows_before_tail is None:
            return self.held_out.split(self._shard(documents, part))
        train, held_out = self.held_out.split(documents)  # the tail is that of the whole corpus
        return self._shard(train, part), self._shard(held_out, part)

    def _shard(self, documents: Dataset, part: Part) -> IterableDataset:
        return documents.shard(self.count, part.index, contiguous=True).to_iterable_dataset()

    def held_out_path(self, part: Part) -> Path:
        """The held-out documents of a part."""
        return self.folder / PROGRESS / f"{part.name}.held-out.parquet"

    def records(self) -> list[dict[str, Any]]:
        """The counts of all parts, which must be finished."""
        return [read_json(self.work.result_path(part)) for part in self.parts]


def work(plan: Plan) -> None:
    """Write the parts that no other worker does, until none is left or one has failed."""
    datasets_logging.set_verbosity_error()
    tokenizer = load_tokenizer(str(plan.folder / TOKENIZER))

    def attempt(part: Part) -> bool:
        return not plan.work.has_failures and plan.work.attempt(
            part, plan.args.stale_after, partial(write_part, plan, part, tokenizer), _shown
        )

    # Again after every part that was done: the owner of a claim may have died in the meantime.
    while any(attempt(part) for part in plan.parts):
        pass


def _shown(record: dict[str, Any]) -> str:
    return f"{record['tokens']:,} tokens"


def write_part(plan: Plan, part: Part, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Write the held-out documents of a part and its shard; returns its record.

    Raises:
        InputError: the part has text to train on, but fewer tokens than one block.
    """
    counts = {"documents": 0, "tokens": 0, "held_out_documents": 0, "held_out_tokens": 0}
    train, held_out = plan.documents(part)
    write_rows(plan.held_out_path(part), tokenized(held_out, tokenizer, counts, "held_out_"))
    name = f"train/train-{part.name}-of-{plan.count:05d}.parquet"
    shard = None
    try:
        shard = write_shard(plan, name, tokenized(train, tokenizer, counts, ""))
    except InputError as error:
        if counts["documents"] > 0:  # without, the part is held out as a whole and has no shard
            where = f"shard {part.index + 1} of {plan.count}"
            remedy = "leave out --streaming" if plan.args.streaming else "raise documents_per_shard"
            raise InputError(f"{where}: {error}; or {remedy}") from error
    return {**counts, "shard": shard}


def pack_held_out(plan: Plan) -> dict[str, Any] | None:
    """Pack the held-out documents of all parts into one shard; None if they do not fill a block."""
    files = (pq.ParquetFile(plan.held_out_path(part)) for part in plan.parts)
    rows = (with_documents(row, None) for file in files for group in file.iter_batches() for row in group.to_pylist())
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
    """Yield the tokens of each document, end-of-text included, and add them to `counts`."""
    end = tokenizer.eos_token_id
    for batch in documents.iter(DOCUMENTS_AT_ONCE):
        for text in batch["text"]:
            check_document(text, str)
        for ids, label in zip(text_ids(tokenizer, batch["text"]), batch.get("document", repeat(None)), strict=False):
            counts[f"{prefix}documents"] += 1
            counts[f"{prefix}tokens"] += len(ids) + 1
            yield with_documents({"input_ids": np.array([*ids, end], np.int32), "document": label}, end)


def write_rows(path: Path, rows: Iterable[Tokens]) -> int:
    """Write rows of tokens to a parquet file, renamed when complete; returns the number of rows."""
    delete_unfinished(path)
    schema = pa.schema([(name, pa.list_(pa.int32())) for name in ("input_ids", "document")])
    written, remaining = 0, iter(rows)
    with written_whole(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        while group := list(islice(remaining, ROW_GROUP)):
            file.write_table(pa.table([_lists([row[name] for row in group]) for name in schema.names], schema))
            written += len(group)
    return written


def _lists(rows: list[np.ndarray]) -> pa.ListArray:
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(rows)))
