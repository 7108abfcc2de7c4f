"""The text of a pretraining run: blocks to train on, held-out blocks, and words for evaluation episodes."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ...callbacks import Source
from ...trainers import InputError
from ...trainers.corpus import (
    BlockStream,
    MixedBlocks,
    MixedStream,
    Words,
    check_vocabulary,
    load_tokenizer,
    load_words,
    mask_id,
    train_tokenizer,
)
from ...trainers.corpus.documents import column_names
from ...trainers.corpus.tokenizer import trained_tokenizer
from ..arguments.corpus import Corpora
from .arguments import PretrainArguments
from .mixture import mixture_tokenizer
from .new_model import EmbeddingStart, load_start
from .word_classes import RunClasses, load_classes


@dataclass(frozen=True)
class Corpus:
    """Text of a run, in blocks of T + 1 token ids."""

    tokenizer: PreTrainedTokenizerBase
    blocks: Dataset | BlockStream | MixedBlocks | MixedStream
    held_out: Source
    sources: dict[str, Source]  #: held-out text of which perplexity is measured separately, by name
    words: Words  #: the classes of evaluation episodes: held-out words, or all where none are held out
    classes: RunClasses | None = None  #: classes of words that training episodes have
    start: EmbeddingStart | None = None  #: what the embedding starts from

    @property
    def names(self) -> list[str]:
        """Names of the sources of a mixture, by their numbers; empty for one corpus."""
        return self.blocks.names if isinstance(self.blocks, MixedBlocks | MixedStream) else []


def load_corpus(args: PretrainArguments, checkpoint: Path | None) -> Corpus:
    """Read the text and cut it into blocks; the main process prepares the cached copy, the others read it.

    Raises InputError if the text cannot be read, is too short, or has too few held-out words for evaluation episodes.
    """
    training, vocab_size = args.training, args.model.config().vocab_size
    with training.main_process_first(desc="corpus"):
        documents, held_out_documents = args.corpus.documents(vocab_size)
        tokenizer = load_tokenizer(str(checkpoint), rows=vocab_size) if checkpoint else make_tokenizer(args, documents)
        check_vocabulary(tokenizer, vocab_size, with_mask=training.needs_mask)
        blocks = args.corpus.train_blocks(documents, tokenizer, training.seed, vocab_size)
        held_out = args.corpus.held_out(held_out_documents, tokenizer)
        sources = args.corpus.sources(tokenizer, held_out_documents, vocab_size=vocab_size)
    words = load_words(tokenizer, vocab_size, training.held_out_rule)
    if training.held_out_words:
        _, words = words.split(training.held_out_words)
    if args.run.eval_episodes > 0:
        try:
            pool, numbers = held_out.for_episodes()
            training.with_documents("different").check_pool(pool, mask_id(tokenizer), words, numbers)
        except InputError as error:
            hint = "or raise eval_blocks, eval_fraction or held_out_words, or set eval_episodes to 0"
            raise InputError(f"held-out words of held-out text: {error}; {hint}") from error
    made = load_classes(args, blocks, tokenizer, checkpoint), load_start(args, blocks, tokenizer, checkpoint)
    return Corpus(tokenizer, blocks, held_out, sources, words, *made)


def make_tokenizer(args: PretrainArguments, documents: Corpora) -> PreTrainedTokenizerBase:
    """The named tokenizer, that of `init_from` or of a prepared corpus, or one trained on the training documents."""
    name, rows = args.model.tokenizer or args.model.init_from, args.model.config().vocab_size
    if name is not None:
        return load_tokenizer(name, rows=rows)
    if isinstance(documents, dict):
        return mixture_tokenizer(args.corpus, documents, rows)
    if "text" not in column_names(documents):
        return load_tokenizer(args.corpus.own_tokenizer(), rows=rows)
    if isinstance(documents, Dataset):
        return trained_tokenizer(documents, rows)
    return train_tokenizer((row["text"] for row in documents), rows)
