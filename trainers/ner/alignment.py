"""From words and their tags to sub-words and labels, and back."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from .iob2 import LABELS

IGNORED = -100
SUBWORDS = ("first", "last")


def align(
    rows: dict[str, list],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    labelled_subword: str = "first",
    space_before_words: bool = True,
) -> dict[str, list]:
    """Tokenize a batch of sentences and put the label of each word on one of its sub-words.

    Args:
        rows: columns `tokens` and `ner_tags`.
        tokenizer: a fast tokenizer, which knows the word of each sub-word.
        max_length: sub-words after which a sentence is cut.
        labelled_subword: `first`, or `last`, where a causal model has read the whole word.
        space_before_words: tokenize each word as in running text, where a space stands before it; otherwise without
            that space. Only byte-level tokenizers tell the two apart.

    Returns:
        Columns `input_ids`, `attention_mask`, `labels` (-100: not scored), `labelled_words` (the index of each word
        that has a label; words whose labelled sub-word was cut off, or that have no sub-word, are missing), `length`.

    Raises:
        InputError: the tokenizer gives no word ids.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} gives no word ids: use a fast tokenizer (tokenizer.json)")
    # A byte-level tokenizer recognises a word by the space before it, which split words lack.
    bare = tokenizer(["b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    space = " " if space_before_words and tokenizer.convert_ids_to_tokens(bare) == ["b"] else ""
    words = [[space + token for token in tokens] for tokens in rows["tokens"]]
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
    columns: dict[str, list] = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    columns |= {"labels": [], "labelled_words": [], "length": [len(ids) for ids in encoded["input_ids"]]}
    for i, tags in enumerate(rows["ner_tags"]):
        word_ids = encoded.word_ids(i)
        positions = labelled_positions(word_ids, labelled_subword)
        if labelled_subword == "last":
            # A word that goes on in the part that was cut off has lost its last sub-word.
            cut = {word for rest in encoded[i].overflowing for word in rest.word_ids}
            positions = [position for position in positions if word_ids[position] not in cut]
        labels = [IGNORED] * len(word_ids)
        for position in positions:
            labels[position] = tags[word_ids[position]]
        columns["labels"].append(labels)
        columns["labelled_words"].append([word_ids[position] for position in positions])
    return columns


def labelled_positions(word_ids: Sequence[int | None], labelled_subword: str) -> list[int]:
    """Positions of the first, or last, sub-word of each word."""
    neighbours = [None, *word_ids] if labelled_subword == "first" else [*word_ids[1:], None]
    return [
        position
        for position, (word, neighbour) in enumerate(zip(word_ids, neighbours, strict=False))
        if word is not None and word != neighbour
    ]


def predicted_tags(classes: np.ndarray, labels: np.ndarray, rows: dict[str, list]) -> list[list[str]]:
    """Predicted tags of whole sentences; a word without a label counts as predicted O.

    Args:
        classes: (R, T), the class of each sub-word.
        labels: (R, T), -100 where a sub-word has no label.
        rows: columns of `align`, and `ner_tags`.
    """
    sentences = []
    for row, mask, words, tags in zip(
        classes, labels != IGNORED, rows["labelled_words"], rows["ner_tags"], strict=True
    ):
        sentence = ["O"] * len(tags)
        for word, label in zip(words, row[mask], strict=True):
            sentence[word] = LABELS[label]
        sentences.append(sentence)
    return sentences


def gold_tags(rows: Dataset) -> list[list[str]]:
    """The names of the tags of each sentence."""
    return [[LABELS[tag] for tag in tags] for tags in rows["ner_tags"]]


def truncated_words(aligned: Dataset) -> int:
    """Number of words without a label, because their sentence was cut before them or they have no sub-word."""
    return sum(map(len, aligned["ner_tags"])) - sum(map(len, aligned["labelled_words"]))
