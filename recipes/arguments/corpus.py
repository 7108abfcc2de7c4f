"""Arguments of the corpus, and the steps from its text to blocks."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from datasets import Dataset
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerBase
from transformers.hf_argparser import HfArg

from ...callbacks import Source
from ...trainers import InputError
from ...trainers.checks import check_at_least
from ...trainers.corpus import (
    BlockStream,
    MixedBlocks,
    MixedStream,
    first_blocks,
    first_texts,
    load_documents,
    make_blocks,
    mix_blocks,
    split_held_out,
)
from ...trainers.corpus.content_hash import content_hash
from ...trainers.corpus.documents import Documents
from ...trainers.corpus.mixture import ALL
from ...trainers.loading import most_tokens
from .mixture import MixtureArguments, of_source, source_name

MAX_SOURCES = 200
# A corpus, or the sources of a mixture by name.
Corpora: TypeAlias = Documents | dict[str, Documents]


@dataclass
class SourceArguments:
    """Source of the text."""

    dataset: str = HfArg(
        default="python-prose",
        help="File, folder or Hub data set, or python-prose. "
        "Files are .txt, .jsonl, .parquet or .arrow; python-prose is the docs inside Python, without a download.",
    )
    dataset_config: str | None = HfArg(default=None, help="Configuration of a Hub data set.")
    dataset_split: str = HfArg(default="train", help="Split of a Hub data set.")
    dataset_revision: str | None = HfArg(default=None, help="Revision of a Hub data set (unset: main).")
    text_column: str = HfArg(default="text", help="Column of the text. `input_ids` is read as token ids.")
    streaming: bool = HfArg(default=False, help="Read the corpus while it is used, without a copy in the cache.")

    def load(self, skip_bad_files: bool = False, vocab_size: int | None = None) -> Documents:
        """Open the corpus (see `load_documents`)."""
        return load_documents(
            self.dataset,
            config_name=self.dataset_config,
            split=self.dataset_split,
            revision=self.dataset_revision,
            text_column=self.text_column,
            streaming=self.streaming,
            skip_bad_files=skip_bad_files,
            vocab_size=vocab_size,
        )


@dataclass
class CorpusArguments(MixtureArguments, SourceArguments):
    """Arguments of the corpus."""

    skip_bad_files: bool = HfArg(default=False, help="Skip files that cannot be read. Each is read once to check.")
    shuffle_blocks: int = HfArg(default=1, help="Blocks of a stream that are shuffled at a time (1: not shuffled).")
    eval_dataset: str | None = HfArg(default=None, help="Corpus to evaluate on (unset: eval_fraction of dataset).")
    eval_split: str = HfArg(default="train", help="Split of a Hub eval_dataset.")
    eval_source_column: str | None = HfArg(
        default=None, help="Column of eval_dataset by which perplexity is also split (unset: none)."
    )
    eval_sources: list[str] = HfArg(
        default_factory=list, help="Files, folders or Hub data sets whose perplexity is logged one by one."
    )
    eval_fraction: float = HfArg(default=0.05, help="Share of the documents that is held out, without eval_dataset.")
    split_by: str = HfArg(default="document", help="`row` holds out paragraphs of .txt files, not whole files.")
    eval_blocks: int = HfArg(
        default=256, help="Held-out blocks to evaluate on, at most (0: all, as evaluate does unless it is given)."
    )
    eval_texts: int | None = HfArg(
        default=None,
        help="Held-out texts of each source for mean_text_perplexity, at most (unset: 256 in evaluate, 0 elsewhere; "
        "0: none). Each is cut to block_size tokens. The published code takes all.",
    )
    block_size: int = HfArg(default=2048, help="Tokens that a block predicts, T; it holds T + 1.")
    num_workers: int | None = HfArg(default=None, help="Processes that tokenize (unset: one).")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixture is not None and self.streaming and self.weights is None:
            raise InputError("a streamed corpus has no known size: give every source of the mixture a weight")
        if not 0 < self.eval_fraction < 1:
            raise InputError(f"eval_fraction must be between 0 and 1, got {self.eval_fraction}")
        check_at_least(2, block_size=self.block_size)
        if self.eval_blocks != 0:
            check_at_least(2, eval_blocks=self.eval_blocks)
        if self.split_by not in ("document", "row"):
            raise InputError(f"split_by must be document or row, got {self.split_by!r}")
        if self.eval_texts is not None:
            check_at_least(0, eval_texts=self.eval_texts)
        check_at_least(1, shuffle_blocks=self.shuffle_blocks)
        check_at_least(0, num_workers=self.num_workers or 0)
        if self.eval_source_column is not None and self.eval_dataset is None:
            raise InputError("eval_source_column names a column of eval_dataset: set that too")
        if self.shuffle_blocks > 1 and not self.streaming:
            raise InputError(
                f"shuffle_blocks is {self.shuffle_blocks} but the corpus is not streamed, and so shuffled whole: "
                "remove it, or set --streaming"
            )

    def parts(self) -> dict[str, "CorpusArguments"]:
        """The arguments of each source of a mixture by its name; else these themselves under an empty name."""
        if self.mixture is None:
            return {"": self}
        own: dict[str, Any] = {"mixture": None, "mixture_temperature": None, "mixture_stop": ALL}
        own |= {"dataset_config": None, "dataset_split": "train", "dataset_revision": None}
        return {
            name: replace(self, **own | {key: value for key, value in entry.items() if key != "weight"})
            for name, entry in self.entries.items()
        }

    def documents(self, vocab_size: int | None = None) -> tuple[Corpora, Corpora]:
        """Training and held-out documents, whose token ids must be below `vocab_size`."""
        if self.mixture is not None:
            return self._documents_by_source(vocab_size)
        documents = self.load(self.skip_bad_files, vocab_size)
        if self.eval_dataset is None:
            return split_held_out(documents, self.eval_fraction, self.split_by)
        return documents, self.held_out_documents(vocab_size)

    def _documents_by_source(self, vocab_size: int | None) -> tuple[Corpora, Corpora]:
        train: dict[str, Documents] = {}
        held_out: dict[str, Documents] = {}
        for name, part in self.parts().items():
            with of_source(name):
                rows = part.load(self.skip_bad_files, vocab_size)
                if self.eval_dataset is None:
                    rows, held_out[name] = split_held_out(rows, self.eval_fraction, self.split_by)
                train[name] = rows
        return train, held_out or self.held_out_documents(vocab_size)

    def held_out_documents(self, vocab_size: int | None = None) -> Corpora:
        """The held-out documents alone, without the training corpus where `eval_dataset` is set."""
        if self.eval_dataset is None:
            return self.documents(vocab_size)[1]
        return self._streamed(self.eval_dataset, self.eval_split, vocab_size=vocab_size)

    def _streamed(self, name: str, split: str = "train", **options: Any) -> Documents:
        """A corpus to evaluate on, streamed because evaluation may read only the first blocks."""
        return load_documents(
            name,
            split=split,
            text_column=self.text_column,
            streaming=True,
            skip_bad_files=self.skip_bad_files,
            **options,
        )

    def content_hashes(self) -> dict[str, str | None]:
        """A hash of the files of each text in `paths` (see `content_hash`)."""
        return {name: content_hash(path) for name, path in self.paths().items()}

    def paths(self) -> dict[str, str]:
        """`dataset`, or the sources of the mixture as `source NAME`, and `eval_dataset`."""
        paths = {f"source {name}" if name else "dataset": part.dataset for name, part in self.parts().items()}
        return paths | ({} if self.eval_dataset is None else {"eval_dataset": self.eval_dataset})

    def own_tokenizer(self) -> str:
        """Folder of the tokenizer in a corpus that the command `prepare` wrote; raise InputError if it has none."""
        corpus = Path(self.dataset)
        if not corpus.exists():
            name, revision = self.dataset, self.dataset_revision
            corpus = Path(
                snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns="tokenizer/*")
            )
        for tokenizer in (corpus / "tokenizer", corpus.parent / "tokenizer"):
            if (tokenizer / "tokenizer.json").exists():
                return str(tokenizer)
        raise InputError(f"{self.dataset} holds token ids but no tokenizer: name its tokenizer with --tokenizer")

    def train_blocks(
        self, documents: Corpora, tokenizer: PreTrainedTokenizerBase, seed: int, vocab_size: int | None = None
    ) -> Dataset | BlockStream | MixedBlocks | MixedStream:
        """Blocks to train on; the seed decides the order of a shuffled stream, and a streamed mixture's draws."""
        repeat = self.mixture_stop == ALL
        options = (tokenizer, self.block_size, self.num_workers, repeat, self.shuffle_blocks, seed, vocab_size)
        if not isinstance(documents, dict):
            return make_blocks(documents, *options)
        blocks = {}
        for name, rows in documents.items():
            with of_source(name):
                blocks[name] = make_blocks(rows, *options)
        weights = None if self.weights is None else list(self.weights.values())
        return mix_blocks(blocks, weights, self.mixture_temperature or 1.0, self.mixture_stop, seed)

    def held_out_blocks(self, documents: Dataset, tokenizer: PreTrainedTokenizerBase) -> tuple[Tensor, Tensor]:
        """Up to `eval_blocks` blocks of held-out text (0: all), and the document of each id; both (R, T + 1) int64.

        Raises InputError if there is none.
        """
        try:
            blocks = make_blocks(documents, tokenizer, self.block_size, self.num_workers, repeat=False)
            rows = list(islice(iter(blocks), self.eval_blocks or None))
        except InputError as error:
            raise InputError(f"held-out text: {error}, or raise eval_fraction") from error
        if not rows:
            raise InputError(f"eval_fraction {self.eval_fraction} holds out no document: raise it or add documents")
        return first_blocks(rows, len(rows))

    def held_out(self, documents: Corpora, tokenizer: PreTrainedTokenizerBase, texts: int = 0) -> Source:
        """Up to `eval_blocks` blocks of held-out documents, and up to `eval_texts` of them (unset: `texts`).

        The sources of a mixture share the blocks by their weights, or equally where none are given.
        """
        if isinstance(documents, dict):
            return self._held_out_of_mixture(documents, tokenizer, texts)
        count = texts if self.eval_texts is None else self.eval_texts
        blocks, numbers = self.held_out_blocks(documents, tokenizer)
        first = first_texts(documents, tokenizer, count, self.block_size) if count else []
        return Source.from_blocks(blocks, tokenizer, first, numbers)

    def _held_out_of_mixture(
        self, documents: dict[str, Documents], tokenizer: PreTrainedTokenizerBase, texts: int
    ) -> Source:
        weights = self.weights or dict.fromkeys(documents, 1 / len(documents))
        held_out = []
        for name, rows in documents.items():
            # Two is the least number that the argument takes, and 0 is all.
            blocks = max(round(self.eval_blocks * weights[name]), 2) if self.eval_blocks else 0
            with of_source(name):
                held_out.append(replace(self, eval_blocks=blocks).held_out(rows, tokenizer, texts))
        return Source.joined(held_out)

    def sources(
        self,
        tokenizer: PreTrainedTokenizerBase,
        held_out: Corpora,
        texts: int = 0,
        vocab_size: int | None = None,
    ) -> dict[str, Source]:
        """Each source whose perplexity is measured by itself, by its name: those of a mixture, and `eval_sources`.

        Raises InputError if two sources have the same name, or one fills no block.
        """
        documents: dict[str, Any] = dict(held_out) if isinstance(held_out, dict) else {}
        if self.eval_source_column is not None:
            documents |= self._rows_by_source(self.eval_source_column, self.eval_texts or texts)
        for path in self.eval_sources:
            name = source_name(path)
            if name in documents:
                raise InputError(f"two sources are named {name!r}: rename a file of eval_sources")
            documents[name] = self._streamed(path, vocab_size=vocab_size)
        sources = {}
        for name, rows in documents.items():
            with of_source(name):
                sources[name] = self.held_out(rows, tokenizer, texts)
        return sources

    def _rows_by_source(self, column: str, texts: int) -> dict[str, Dataset]:
        """Rows of `eval_dataset` by the value of a column, enough of each for `eval_blocks` blocks and the texts."""
        assert self.eval_dataset is not None
        rows = self._streamed(self.eval_dataset, self.eval_split, beside=column)
        # Characters or token ids. A token hardly ever has more than 16 characters.
        enough = 16 * max(self.eval_blocks or math.inf, texts) * (self.block_size + 1)
        by_source: dict[str, list[Any]] = defaultdict(list)
        sizes: dict[str, int] = defaultdict(int)
        for row in rows:
            source = str(row.pop(column))
            if sizes[source] < enough:
                by_source[source].append(row)
                sizes[source] += len(next(iter(row.values())) or ())
            if len(by_source) > MAX_SOURCES:
                raise InputError(
                    f"eval_source_column {column!r} has more than {MAX_SOURCES} values: name a column of sources"
                )
        return {source: Dataset.from_list(by_source[source]) for source in sorted(by_source)}


def check_fits(config: PretrainedConfig, blocks: Tensor, name: str) -> None:
    """Raise InputError if a model has too few tokens or positions for held-out blocks (R, T + 1)."""
    length, block_size = most_tokens(config), blocks.shape[1] - 1
    if block_size > length:
        raise InputError(f"block_size is {block_size}, {name} reads {length} tokens: lower it")
    if blocks.max() >= config.vocab_size:
        raise InputError(
            f"the held-out text holds the token id {blocks.max()}, {name} only {config.vocab_size} tokens: "
            "name its own tokenizer with --tokenizer"
        )
