"""From words and their tags to sub-words and labels, and back."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from .iob2 import LABELS

IGNORED = -100


def align(rows: dict[str, list], tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list]:
    """Tokenise a batch of sentences; the first sub-word of each word carries its label, the others none.

    Args:
        rows: columns `tokens` and `ner_tags`.
        tokenizer: a fast tokenizer (it must tell which word a sub-word is of).
        max_length: sub-words kept of a sentence.

    Returns:
        Columns `input_ids`, `attention_mask`, `labels` (-100: not scored) and `labelled_words` (index of the word
        behind each label; a word that was cut off or has no sub-word is missing).

    Raises:
        InputError: the tokenizer cannot tell words apart.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} gives no word ids: use a fast tokenizer (tokenizer.json)")
    # A byte-level tokenizer knows a word from the space before it, which pre-split words have lost.
    bare = tokenizer(["b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    space = " " if tokenizer.convert_ids_to_tokens(bare) == ["b"] else ""
    words = [[space + token for token in tokens] for tokens in rows["tokens"]]
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
    columns: dict[str, list] = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    columns |= {"labels": [], "labelled_words": []}
    for i, tags in enumerate(rows["ner_tags"]):
        word_ids = encoded.word_ids(i)
        first = [
            word is not None and word != before for word, before in zip(word_ids, [None, *word_ids], strict=False)
        ]
        columns["labels"].append([tags[w] if new else IGNORED for w, new in zip(word_ids, first, strict=True)])
        columns["labelled_words"].append([w for w, new in zip(word_ids, first, strict=True) if new])
    return columns


def to_tags(predictions: np.ndarray, labels: np.ndarray, aligned: Dataset) -> list[list[str]]:
    """Predicted tags of whole sentences; a word without a label (cut off) counts as predicted O, never dropped.

    Args:
        predictions: (R, T) class of each sub-word.
        labels: (R, T) with -100 where a sub-word carries no label.
        aligned: the R rows, with `labelled_words` and `ner_tags`.
    """
    sentences = []
    for row, kept, words, tags in zip(
        predictions, labels != IGNORED, aligned["labelled_words"], aligned["ner_tags"], strict=True
    ):
        sentence = ["O"] * len(tags)
        for word, label in zip(words, row[kept], strict=True):
            sentence[word] = LABELS[label]
        sentences.append(sentence)
    return sentences


def gold_tags(rows: Dataset) -> list[list[str]]:
    """The tags of each sentence by name."""
    return [[LABELS[tag] for tag in tags] for tags in rows["ner_tags"]]


def truncated_words(aligned: Dataset) -> int:
    """Words that lost their label because their sentence was too long."""
    lost: Sequence[int] = [
        len(tags) - len(words) for tags, words in zip(aligned["ner_tags"], aligned["labelled_words"], strict=True)
    ]
    return sum(lost)
