"""How a tagger reads text: words, their sub-words, and from the logits of words to tags."""

from collections.abc import Sequence
from typing import NamedTuple

import regex
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase

from .configuration_pico import PicoConfig

# Words as Universal Dependencies splits most languages: letters with their marks, joined by hyphen or apostrophe;
# a punctuation mark alone; a Chinese character alone, because nothing marks the end of a Chinese word.
WORD = regex.compile(
    r"\p{Han}|[[\p{L}\p{M}\p{N}_]--\p{Han}]+(?:[-'\u2019][[\p{L}\p{M}\p{N}_]--\p{Han}]+)*|[^\s\p{L}\p{M}\p{N}_]",
    regex.VERSION1,
)


class Tagging(NamedTuple):
    """What fine-tuning records in a tagger's configuration; the defaults are those of models without a record."""

    labelled_subword: str = "first"  #: the sub-word whose logits tag a word, `first` or `last`
    tag_decoding: str = "argmax"  #: `argmax` or `iob2`, see `decode_tags`
    space_before_words: bool = True  #: tokenize words with the space before them, see `encode_words`

    @classmethod
    def of(cls, config: PicoConfig) -> "Tagging":
        """Read the record of a configuration."""
        values = config.to_dict()
        return cls(**{name: values[name] for name in cls._fields if name in values})


def split_words(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of a text, in characters."""
    return [match.span() for match in WORD.finditer(text)]


def encode_words(
    tokenizer: PreTrainedTokenizerBase, sentences: list[list[str]], max_length: int, space_before_words: bool = True
) -> BatchEncoding:
    """Tokenize sentences given as words; text that looks like a control token is read as text.

    Args:
        tokenizer: a fast tokenizer, which knows the word of each sub-word.
        sentences: the words of each.
        max_length: sub-words after which a sentence is cut.
        space_before_words: tokenize each word as in running text, where a space stands before it; otherwise without
            that space. Only byte-level tokenizers tell the two apart.
    """
    # A byte-level tokenizer recognises a word by the space before it, which split words lack.
    bare = tokenizer(["b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    space = " " if space_before_words and tokenizer.convert_ids_to_tokens(bare) == ["b"] else ""
    words = [[space + word for word in sentence] for sentence in sentences]
    return tokenizer(
        words, is_split_into_words=True, truncation=True, max_length=max_length, split_special_tokens=True
    )


def labelled_positions(encoded: BatchEncoding, row: int, labelled_subword: str) -> list[int]:
    """Positions of the first, or last, sub-word of each word of a sentence; words that are cut off have none."""
    word_ids = encoded.word_ids(row)
    positions = ends_of_words(word_ids, labelled_subword)
    if labelled_subword == "first":
        return positions
    # A word that goes on in the part that was cut off has lost its last sub-word.
    cut = {word for rest in encoded[row].overflowing for word in rest.word_ids}
    return [position for position in positions if word_ids[position] not in cut]


def ends_of_words(word_ids: Sequence[int | None], labelled_subword: str) -> list[int]:
    """Positions of the first, or last, sub-word of each word."""
    neighbours = [None, *word_ids] if labelled_subword == "first" else [*word_ids[1:], None]
    return [
        position
        for position, (word, neighbour) in enumerate(zip(word_ids, neighbours, strict=False))
        if word is not None and word != neighbour
    ]


def decode_tags(logits: Tensor, labelled: Tensor, decoding: str, labels: Sequence[str]) -> Tensor:
    """The class of each word.

    Args:
        logits: (B, T, C) of sub-words.
        labelled: (B, T), true where a sub-word stands for a word; classes elsewhere are meaningless.
        decoding: `argmax`, each word alone; or `iob2`, the most probable sequence in which every I- continues an
            entity of its class (Viterbi).
        labels: names of the C classes.

    Returns:
        (B, T) classes.
    """
    if decoding == "argmax":
        return logits.argmax(-1)
    scores = logits.float().log_softmax(-1)
    forbidden = _forbidden(labels).to(logits.device)
    classes = torch.arange(len(labels), device=logits.device)
    # Start as after an O: a sentence cannot begin inside an entity.
    best = scores.new_full((len(scores), len(labels)), -torch.inf)
    best[:, labels.index("O")] = 0.0
    came_from = []
    for score, word in zip(scores.unbind(1), labelled.unbind(1), strict=True):
        reached, previous = (best[:, :, None] + forbidden).max(1)
        best = torch.where(word[:, None], reached + score, best)
        came_from.append(torch.where(word[:, None], previous, classes))
    state, path = best.argmax(-1), []
    for previous in reversed(came_from):
        path.append(state)
        state = previous.gather(1, state[:, None])[:, 0]
    return torch.stack(path[::-1], 1)


def _forbidden(labels: Sequence[str]) -> Tensor:
    """(C, C) from a tag to the next: minus infinity where an I- does not continue an entity of its class, else 0."""
    return torch.tensor(
        [
            [-torch.inf if after.startswith("I-") and before[1:] != after[1:] else 0.0 for after in labels]
            for before in labels
        ]
    )
