"""Time the preparation of a corpus beside its tokenizer alone, and beside packing with `datasets.map`."""

import contextlib
import io
import json
import tempfile
from itertools import chain, islice
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, load_dataset
from transformers import PreTrainedTokenizerBase

from ...trainers.corpus import load_documents, load_tokenizer, train_tokenizer
from ...trainers.corpus.documents import BUILT_IN
from ...trainers.corpus.tokenizer import text_ids
from ..prepare import command as prepare
from ..prepare.shards import DOCUMENTS_AT_ONCE
from .timing import Tasks, in_turn, report

ALONE, PREPARED, MAPPED = "tokenizer alone", "prepare", "datasets.map and packing"
BLOCK, COPIES = 512, 8


def measure_preparation(rounds: int, copies: int = COPIES) -> dict[str, Any]:
    """Time one process on `copies` of the prose inside Python.

    `datasets.map and packing` is how training scripts of transformers do it: map to ids, map to blocks, save.
    """
    with tempfile.TemporaryDirectory() as temporary:
        return report(in_turn(preparation_tasks(Path(temporary), copies), rounds), ALONE)


def preparation_tasks(folder: Path, copies: int) -> Tasks:
    """The three ways, by name, with a corpus and a tokenizer that are written to `folder`, as their outputs are."""
    texts = [row["text"] for row in load_documents(BUILT_IN)]
    texts = [f"{number}. {text}" for number in range(copies) for text in texts]
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    tokenizer = folder / "tokenizer"
    train_tokenizer(islice(texts, len(texts) // copies), 4096).save_pretrained(tokenizer)
    outputs = (folder / f"out-{number}" for number in range(10**6))
    # Each loads the tokenizer, which remembers the words that it has split.
    return {
        ALONE: lambda: _tokenize(load_tokenizer(str(tokenizer)), texts),
        PREPARED: lambda: _prepare(corpus, tokenizer, next(outputs)),
        MAPPED: lambda: _map(corpus, load_tokenizer(str(tokenizer)), next(outputs)),
    }


def _tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> None:
    for start in range(0, len(texts), DOCUMENTS_AT_ONCE):
        text_ids(tokenizer, texts[start : start + DOCUMENTS_AT_ONCE])


def _prepare(corpus: Path, tokenizer: Path, output: Path) -> None:
    arguments = {"dataset": corpus, "tokenizer": tokenizer, "output_dir": output, "block_size": BLOCK}
    with contextlib.redirect_stdout(io.StringIO()):
        prepare.main([f"--{name}={value}" for name, value in arguments.items()])


def _map(corpus: Path, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    datasets.disable_progress_bars()
    documents = load_dataset(
        "json", data_files=str(corpus), split="train", cache_dir=str(output.with_suffix(".cache"))
    )
    ids = documents.map(
        lambda batch: {"input_ids": tokenizer(batch["text"])["input_ids"]}, batched=True, remove_columns=["text"]
    )
    _packed(ids).save_to_disk(output)


def _packed(ids: Dataset) -> Dataset:
    def blocks(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = list(chain.from_iterable(batch["input_ids"]))
        return {"input_ids": [joined[i : i + BLOCK] for i in range(0, len(joined) - BLOCK + 1, BLOCK)]}

    return ids.map(blocks, batched=True)
