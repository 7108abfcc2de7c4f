"""Which text a recipe reads, and how it becomes blocks."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.corpus import BlockStream, load_documents, make_blocks, split_held_out

MAX_SOURCES = 200


@dataclass
class CorpusArguments:
    """Arguments of the corpus."""

    dataset: str = field(
        default="python-prose",
        metadata={
            "help": "`python-prose` (the docs inside Python, no download), a .txt, .jsonl, .parquet or .arrow file, "
            "a folder of them, or a Hub data set."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_split: str = field(default="train", metadata={"help": "Split of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a Hub data set."})
    text_column: str = field(
        default="text", metadata={"help": "Column of the text; a column `input_ids` is taken as tokenised instead."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read while training instead of preparing a memory-mapped copy first."}
    )
    skip_bad_files: bool = field(
        default=False,
        metadata={"help": "Leave out corpus files that cannot be read (each is read once to know), else an error."},
    )
    shuffle_blocks: int = field(
        default=1,
        metadata={
            "help": "Blocks of a streamed corpus that are read ahead and shuffled (1: the order of the corpus)."
        },
    )
    eval_dataset: str | None = field(
        default=None, metadata={"help": "Corpus to evaluate on; by default a share of `dataset` is held out."}
    )
    eval_split: str = field(default="train", metadata={"help": "Split of a Hub `eval_dataset`."})
    eval_source_column: str | None = field(
        default=None,
        metadata={"help": "Column of `eval_dataset` that names a row's source: perplexity of each source, too."},
    )
    eval_sources: list[str] = field(
        default_factory=list,
        metadata={"help": "Files, folders or Hub data sets whose perplexity is measured one by one, by their name."},
    )
    eval_fraction: float = field(
        default=0.05, metadata={"help": "Share of the documents held out of `dataset` (without `eval_dataset`)."}
    )
    eval_blocks: int = field(default=256, metadata={"help": "Held-out blocks to evaluate at most."})
    block_size: int = field(default=2048, metadata={"help": "T, tokens a block predicts; a block holds one more."})
    num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise (unset: one)."})

    def __post_init__(self) -> None:
        if not 0 < self.eval_fraction < 1:
            raise InputError(f"eval_fraction must be between 0 and 1, got {self.eval_fraction}")
        for name in ("eval_blocks", "block_size"):
            if self.__dict__[name] < 2:
                raise InputError(f"{name} must be at least 2, got {self.__dict__[name]}")
        if self.eval_source_column is not None and self.eval_dataset is None:
            raise InputError("eval_source_column names a column of eval_dataset, which is not given")
        if self.shuffle_blocks < 1:
            raise InputError(f"shuffle_blocks must be at least 1, got {self.shuffle_blocks}")
        if self.shuffle_blocks > 1 and not self.streaming:
            raise InputError(
                "shuffle_blocks is for a streamed corpus, any other is shuffled whole: leave it, or stream"
            )

    def documents(self) -> tuple:
        """Training and held-out documents."""
        documents = load_documents(
            self.dataset,
            config_name=self.dataset_config,
            split=self.dataset_split,
            revision=self.dataset_revision,
            text_column=self.text_column,
            streaming=self.streaming,
            skip_bad_files=self.skip_bad_files,
        )
        if self.eval_dataset is None:
            return split_held_out(documents, self.eval_fraction)
        # Evaluation reads a bounded number of blocks, so there is no need to download the rest.
        held_out = load_documents(
            self.eval_dataset, split=self.eval_split, text_column=self.text_column, streaming=True
        )
        return documents, held_out

    def own_tokenizer(self) -> str:
        """The folder of the tokenizer that a corpus made by `recipes.prepare` brings with it.

        Raises:
            InputError: it has none.
        """
        place = Path(self.dataset)
        if not place.exists():
            place = Path(
                snapshot_download(
                    self.dataset, repo_type="dataset", revision=self.dataset_revision, allow_patterns="tokenizer/*"
                )
            )
        for folder in (place / "tokenizer", place.parent / "tokenizer"):
            if (folder / "tokenizer.json").exists():
                return str(folder)
        raise InputError("the corpus is tokenised already: name its tokenizer with --tokenizer")

    def train_blocks(self, documents: Dataset, tokenizer: PreTrainedTokenizerBase, seed: int) -> Dataset | BlockStream:
        """Blocks to train on; the seed is that of a stream's order."""
        return make_blocks(documents, tokenizer, self.block_size, self.num_workers, True, self.shuffle_blocks, seed)

    def held_out_blocks(self, documents: Dataset, tokenizer: PreTrainedTokenizerBase) -> Tensor:
        """Up to `eval_blocks` blocks of held-out text: (R, T + 1) int64.

        Raises:
            InputError: the held-out documents do not fill a block.
        """
        try:
            blocks = make_blocks(documents, tokenizer, self.block_size, self.num_workers, repeat=False)
            rows = [row["input_ids"] for row in islice(iter(blocks), self.eval_blocks)]
        except InputError as error:
            raise InputError(f"held-out text: {error}, or raise eval_fraction") from error
        if not rows:
            raise InputError("no document was held out: raise eval_fraction or give more documents")
        return torch.as_tensor(np.stack(rows), dtype=torch.long)

    def source_blocks(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
        """Held-out blocks of each source that is to be evaluated apart, up to `eval_blocks` of each, by name.

        Raises:
            InputError: two sources share a name, or one does not fill a block.
        """
        documents: dict[str, Any] = {}
        if self.eval_source_column is not None:
            documents = self._by_column(self.eval_source_column)
        for path in self.eval_sources:
            name = Path(path).stem if Path(path).exists() else path
            if name in documents:
                raise InputError(f"two sources are named {name!r}: rename a file of eval_sources")
            documents[name] = load_documents(path, text_column=self.text_column, streaming=True)
        blocks = {}
        for name, rows in documents.items():
            try:
                blocks[name] = self.held_out_blocks(rows, tokenizer)
            except InputError as error:
                raise InputError(f"source {name!r}: {error}") from error
        return blocks

    def _by_column(self, column: str) -> dict[str, Dataset]:
        """The rows of `eval_dataset` by source, of each as many as `eval_blocks` blocks can need."""
        assert self.eval_dataset is not None
        rows = load_documents(
            self.eval_dataset, split=self.eval_split, text_column=self.text_column, streaming=True, beside=column
        )
        found: dict[str, list[Any]] = defaultdict(list)
        sizes: dict[str, int] = defaultdict(int)
        for row in rows:
            name = str(row.pop(column))
            # A token is hardly ever longer than 16 characters; of ids, one is one.
            if sizes[name] < 16 * self.eval_blocks * (self.block_size + 1):
                found[name].append(row)
                sizes[name] += len(next(iter(row.values())) or ())
            if len(found) > MAX_SOURCES:
                raise InputError(f"eval_source_column {column!r} has more than {MAX_SOURCES} values: is it a source?")
        return {name: Dataset.from_list(found[name]) for name in sorted(found)}
