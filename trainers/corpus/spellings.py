"""Which word a sequence of token ids spells."""

from collections.abc import Callable

import regex
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .word_forms import casefolded, held_out_places, word_number
from .word_places import span_keys
from .words import JOINERS

# Zero-width joiners change the shape of the letters around them, as in Persian and Hindi.
LETTERS = r"\p{L}[\p{L}\p{M}\u200c\u200d]*"
WORD = regex.compile(rf"{LETTERS}(?:[{regex.escape(''.join(JOINERS))}]{LETTERS})*")
# Part of the bytes of a character, decoded as U+FFFD, is a letter of some script more often than not.
INSIDE = rf"[\p{{L}}\p{{M}}\p{{N}}{regex.escape(''.join(JOINERS))}\u200c\u200d\ufffd]"
# More sequences than this are not remembered.
MOST_SPELLINGS = 2**20


class Spellings:
    """Numbers and held-out places of the words that token ids spell.

    Those of single tokens are read once from the vocabulary, those of sequences when they are first seen.

    Args:
        tokenizer: reads the token ids.
        rule: which words are held out, see `held_out_places`; it goes by their form.
        solid: (V,) bool, ids that lie inside a word.
        written: `casefolded`, which gives the case variants of a word one number, or `exact`, which does not.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rule: str,
        solid: Tensor,
        written: Callable[[str], str] = casefolded,
    ) -> None:
        self._tokenizer = tokenizer
        self._written = written
        self._place = held_out_places(rule)
        self._of_token = torch.full((len(solid),), -1), torch.ones(len(solid), dtype=torch.float64)
        ids = torch.nonzero(solid).flatten()
        for known, value in zip(self._of_token, self._read(ids[:, None].tolist()), strict=True):
            known[ids] = value
        self._forget()

    def look_up(self, flat: Tensor, starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (P,) numbers of the words in the spans [starts, ends) of (N,) token ids, and their (P,) places.

        The number is -1 where a span is no word.
        """
        ids = flat.index_select(0, starts)
        words, places = (known.index_select(0, ids) for known in self._of_token)
        several = torch.nonzero(ends - starts > 1).flatten()
        if len(several):
            if len(self._sequences[0]) > MOST_SPELLINGS:
                self._forget()
            begin, end = starts[several], ends[several]
            keys, which = torch.unique(span_keys(flat, begin, end), return_inverse=True)
            example = torch.empty_like(keys)
            example[which] = torch.arange(len(which))
            self._learn(keys, flat, begin[example], end[example])
            at = torch.searchsorted(self._sequences[0], keys)[which]
            words[several], places[several] = self._sequences[1][at], self._sequences[2][at]
        return words, places

    def _forget(self) -> None:
        nothing = torch.empty(0, dtype=torch.long)
        self._sequences = nothing, nothing, torch.empty(0, dtype=torch.float64)  # keys, sorted; numbers; places

    def _learn(self, keys: Tensor, flat: Tensor, begin: Tensor, end: Tensor) -> None:
        """Remember the words of the sequences [begin, end) with these sorted keys."""
        new = ~torch.isin(keys, self._sequences[0])
        if not new.any():
            return
        spans = zip(begin[new].tolist(), end[new].tolist(), strict=True)
        read = keys[new], *self._read([flat[first:last].tolist() for first, last in spans])
        merged = [torch.cat(pair) for pair in zip(self._sequences, read, strict=True)]
        order = torch.argsort(merged[0])
        self._sequences = merged[0][order], merged[1][order], merged[2][order]

    def _read(self, sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Return the numbers and the places of the words that sequences of token ids spell."""
        numbers, places = [], []
        for text in self._tokenizer.batch_decode(sequences, clean_up_tokenization_spaces=False):
            form, word = casefolded(text.strip()), self._written(text.strip())
            is_word = WORD.fullmatch(form) is not None
            numbers.append(word_number(word) if is_word else -1)
            places.append(self._place(form) if is_word else 1.0)
        return torch.tensor(numbers, dtype=torch.long), torch.tensor(places, dtype=torch.float64)
