"""From words and their tags to sub-words and labels, and back."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ...modeling_pico.tagging_pico import encode_words, labelled_positions
from ..errors import InputError
from .labels import tags_of

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
        space_before_words: see `encode_words`.

    Returns:
        Columns `input_ids`, `attention_mask`, `labels` (-100: not scored), `labelled_words` (the index of each word
        that has a label; words whose labelled sub-word was cut off, or that have no sub-word, are missing), `length`.

    Raises:
        InputError: the tokenizer gives no word ids.
    """
    check_word_ids(tokenizer)
    encoded = encode_words(tokenizer, rows["tokens"], max_length, space_before_words)
    columns: dict[str, list] = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    columns |= {"labels": [], "labelled_words": [], "length": [len(ids) for ids in encoded["input_ids"]]}
    for i, tags in enumerate(rows["ner_tags"]):
        word_ids = encoded.word_ids(i)
        positions = labelled_positions(encoded, i, labelled_subword)
        labels = [IGNORED] * len(word_ids)
        for position in positions:
            labels[position] = tags[word_ids[position]]
        columns["labels"].append(labels)
        columns["labelled_words"].append([word_ids[position] for position in positions])
    return columns


def check_word_ids(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError unless the tokenizer tells the word of each sub-word."""
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} gives no word ids: use a fast tokenizer (tokenizer.json)")


def predicted_tags(
    classes: np.ndarray, labels: np.ndarray, rows: dict[str, list], names: Sequence[str]
) -> list[list[str]]:
    """Predicted tags of whole sentences; a word without a label counts as predicted O.

    Args:
        classes: (R, T), the class of each sub-word.
        labels: (R, T), -100 where a sub-word has no label.
        rows: columns of `align`, and `ner_tags`.
        names: of the classes.
    """
    sentences = []
    for row, mask, words, tags in zip(
        classes, labels != IGNORED, rows["labelled_words"], rows["ner_tags"], strict=True
    ):
        sentence = ["O"] * len(tags)
        for word, label in zip(words, row[mask], strict=True):
            sentence[word] = names[label]
        sentences.append(sentence)
    return sentences


def gold_tags(rows: Dataset) -> list[list[str]]:
    """The names of the tags of each sentence."""
    names = tags_of(rows)
    return [[names[tag] for tag in tags] for tags in rows["ner_tags"]]


def truncated_words(aligned: Dataset) -> int:
    """Number of words without a label, because their sentence was cut before them or they have no sub-word."""
    return sum(map(len, aligned["ner_tags"])) - sum(map(len, aligned["labelled_words"]))
