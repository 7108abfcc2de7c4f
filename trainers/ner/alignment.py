"""From words and their tags to sub-words and labels, and back."""

from collections.abc import Iterable, Sequence

import numpy as np
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import InputError
from .iob2 import LABELS

IGNORED = -100
SUBWORDS = ("first", "last")


def align(
    rows: dict[str, list], tokenizer: PreTrainedTokenizerBase, max_length: int, labelled_subword: str = "first"
) -> dict[str, list]:
    """Tokenise a batch of sentences; one sub-word of each word carries its label, the others none.

    Args:
        rows: columns `tokens` and `ner_tags`.
        tokenizer: a fast tokenizer (it must tell which word a sub-word is of).
        max_length: sub-words kept of a sentence.
        labelled_subword: `first`, or `last`: a causal model has then seen the whole word.

    Returns:
        Columns `input_ids`, `attention_mask`, `labels` (-100: not scored), `labelled_words` (index of the word behind
        each label; a word whose labelled sub-word was cut off, or that has no sub-word, is missing) and `length`.

    Raises:
        InputError: the tokenizer cannot tell words apart.
    """
    encoded = encode_words(rows["tokens"], tokenizer, max_length)
    columns: dict[str, list] = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    columns |= {"labels": [], "labelled_words": [], "length": [len(ids) for ids in encoded["input_ids"]]}
    for i, tags in enumerate(rows["ner_tags"]):
        word_ids = encoded.word_ids(i)
        chosen = labelled_positions(word_ids, labelled_subword)
        # The rest of a sentence that was cut: a word that goes on there has lost its last sub-word.
        cut = {word for rest in encoded[i].overflowing for word in rest.word_ids}
        if labelled_subword == "last":
            chosen = [position for position in chosen if word_ids[position] not in cut]
        labels = [IGNORED] * len(word_ids)
        for position in chosen:
            labels[position] = tags[word_ids[position]]
        columns["labels"].append(labels)
        columns["labelled_words"].append([word_ids[position] for position in chosen])
    return columns


def encode_words(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> BatchEncoding:
    """Tokenise sentences that are split into words, each read as in running text.

    Raises:
        InputError: the tokenizer cannot tell words apart.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} gives no word ids: use a fast tokenizer (tokenizer.json)")
    # A byte-level tokenizer knows a word from the space before it, which pre-split words have lost.
    bare = tokenizer(["b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    space = " " if tokenizer.convert_ids_to_tokens(bare) == ["b"] else ""
    words = [[space + token for token in tokens] for tokens in sentences]
    return tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)


def labelled_positions(word_ids: Sequence[int | None], labelled_subword: str) -> list[int]:
    """Positions of the first, or last, sub-word of each word."""
    neighbours = [None, *word_ids] if labelled_subword == "first" else [*word_ids[1:], None]
    return [
        position
        for position, (word, neighbour) in enumerate(zip(word_ids, neighbours, strict=False))
        if word is not None and word != neighbour
    ]


def to_tags(classes: Iterable[np.ndarray], labelled_words: Iterable[list[int]], lengths: Iterable[int]) -> list:
    """Predicted tags of whole sentences; a word without a label (cut off) counts as predicted O, never dropped.

    Args:
        classes: of each sentence, the class of each of its labelled words.
        labelled_words: of each sentence, the index of each of these words.
        lengths: words of each sentence.
    """
    sentences = []
    for row, words, length in zip(classes, labelled_words, lengths, strict=True):
        sentence = ["O"] * length
        for word, label in zip(words, row, strict=True):
            sentence[word] = LABELS[label]
        sentences.append(sentence)
    return sentences


def gold_tags(rows: Dataset) -> list[list[str]]:
    """The tags of each sentence by name."""
    return [[LABELS[tag] for tag in tags] for tags in rows["ner_tags"]]


def truncated_words(aligned: Dataset) -> int:
    """Words that carry no label because their sentence was too long (or they have no sub-word): predicted O."""
    return sum(
        len(tags) - len(words) for tags, words in zip(aligned["ner_tags"], aligned["labelled_words"], strict=True)
    )
