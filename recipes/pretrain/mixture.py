"""A mixture of corpora in a run: the tokenizer of its texts, and the step at which its first source ends."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ...trainers import InputError, MAMLConfig
from ...trainers.corpus import MixedBlocks, load_tokenizer, train_tokenizer
from ...trainers.corpus.documents import Documents, column_names
from ...trainers.corpus.mixture import FIRST
from ..arguments.corpus import CorpusArguments

logger = logging.getLogger(__name__)


def mixture_tokenizer(
    corpus: CorpusArguments, documents: Mapping[str, Documents], vocab_size: int
) -> PreTrainedTokenizerBase:
    """The tokenizer that sources of token ids were prepared with, or one trained on the texts of all sources.

    Raises InputError if sources were prepared with different tokenizers, or one of them has none.
    """
    parts = corpus.parts()
    tokenized = [name for name, rows in documents.items() if "text" not in column_names(rows)]
    if not tokenized:
        return train_tokenizer(mixed_texts(documents, corpus.weights, corpus.mixture_stop), vocab_size)
    folders = {name: parts[name].own_tokenizer() for name in tokenized}
    first, *others = ((name, Path(folder, "tokenizer.json").read_bytes()) for name, folder in folders.items())
    for name, content in others:
        if content != first[1]:
            raise InputError(
                f"the sources {first[0]!r} and {name!r} were prepared with different tokenizers: prepare both with one"
            )
    return load_tokenizer(folders[tokenized[0]], rows=vocab_size)


def mixed_texts(documents: Mapping[str, Documents], weights: Mapping[str, float] | None, stop: str) -> Iterator[str]:
    """Yield texts so that the characters of each source are in proportion to its weight, up to the end by `stop`.

    Without weights every text is yielded once.
    """
    if weights is None:
        yield from (row["text"] for rows in documents.values() for row in rows)
        return
    rows = {name: iter(source) for name, source in documents.items()}
    characters = dict.fromkeys(documents, 0)
    ended: set[str] = set()
    while True:
        name = min(rows, key=lambda name: characters[name] / weights[name])
        row = next(rows[name], None)
        if row is not None:
            characters[name] += len(row["text"])
            yield row["text"]
            continue
        if not characters[name]:
            raise InputError(f"source {name!r} holds no text: add some, or leave it out of the mixture")
        ended.add(name)
        if stop == FIRST or len(ended) == len(rows):
            return
        rows[name] = iter(documents[name])


def end_with_first_source(training: MAMLConfig, blocks: object) -> None:
    """Lower `max_steps` to the whole steps that there are until the first source of a mixture ends, if it ends a run.

    Raises InputError if there is none. Where a stream ends is known only when it does.
    """
    if not isinstance(blocks, MixedBlocks) or not blocks.ends:
        return
    rows = training.per_device_train_batch_size * training.world_size * training.gradient_accumulation_steps
    steps = len(blocks) // rows
    if steps == 0:
        raise InputError(
            f"the source {blocks.last!r} ends after {len(blocks)} blocks of the mixture, fewer than the {rows} of one "
            "step: add text, lower the batch size, or set mixture_stop all_exhausted"
        )
    if training.max_steps < 0 or training.max_steps > steps:
        if training.process_index == 0:
            logger.warning(f"max_steps is {steps}: there the source {blocks.last!r} ends (mixture_stop {FIRST})")
        training.max_steps = steps
