"""Words of one token or more: by their form, so that case variants are one word, or by their exact spelling."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import regex
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .spellings import INSIDE, Spellings
from .word_forms import casefolded
from .word_places import WordPlaces
from .words import WORD_STARTS, WordTable

# A token begins, and ends, inside a word; apart from spaces it lies inside a word.
BEGINS_INSIDE, ENDS_INSIDE, SOLID = 1, 2, 4


@dataclass(frozen=True)
class FormTable:
    """Properties of the V token ids from which the words of a text are put together.

    A word lies between spaces and signs: letters, and joiners between letters. Its number is a hash of its form or its
    spelling, the same for every tokenizer. A word with a token that holds signs too is not found.

    Attributes:
        spellings: the words that sequences of token ids spell.
        kinds: (V,) uint8, sums of BEGINS_INSIDE, ENDS_INSIDE and SOLID.
        lowest, highest: words of the table have a place (see `held_out_places`) of at least `lowest` below `highest`.
    """

    spellings: Spellings
    kinds: Tensor
    lowest: float = 0.0
    highest: float = 1.0

    def split(self, held_out: float) -> tuple["FormTable", "FormTable"]:
        """The table of training words, and the table of held-out words (never a class in a training episode).

        `held_out` is the share of held-out words.
        """
        return replace(self, lowest=held_out), replace(self, highest=held_out)

    def find(self, token_ids: Tensor) -> WordPlaces:
        """Return the places of the table's words in (R, T) token ids, on the CPU."""
        length, flat = token_ids.shape[1], token_ids.reshape(-1)
        kinds = self.kinds.index_select(0, flat)
        begins = torch.ones(len(flat) + 1, dtype=torch.bool)  # a span begins at the token, or the text ends
        begins[1:-1] = (kinds[1:] & BEGINS_INSIDE == 0) | (kinds[:-1] & ENDS_INSIDE == 0)
        begins[::length] = True
        borders = torch.nonzero(begins).flatten()
        starts, ends = borders[:-1], borders[1:]
        after_start_of_word = (starts % length == 0) & (kinds[starts] & BEGINS_INSIDE > 0)
        whole = (ends % length > 0) & ~after_start_of_word
        outside = torch.zeros(len(flat) + 1, dtype=torch.long)
        torch.cumsum(kinds & SOLID == 0, 0, out=outside[1:])
        spans = WordPlaces(starts, ends, starts, whole).where(outside.index_select(0, borders).diff() == 0)
        words, places = self.spellings.look_up(flat, spans.starts, spans.ends)
        return replace(spans, words=words).where((words >= 0) & (self.lowest <= places) & (places < self.highest))

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        vocab_size: int,
        rule: str,
        written: Callable[[str], str] = casefolded,
    ) -> "FormTable":
        """The table of a tokenizer; ids beyond its vocabulary (padding rows of the embedding) belong to no word.

        `rule` says which words are held out (see `held_out_places`); `written` is `casefolded` for words by their
        form, or `exact` for words by their spelling.
        """
        kinds = torch.zeros(vocab_size, dtype=torch.uint8)
        ids = range(min(len(tokenizer), vocab_size))
        texts = tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False)
        special = set(tokenizer.all_special_ids)
        inside, only_inside = regex.compile(INSIDE), regex.compile(f"{INSIDE}+")
        for i, token, text in zip(ids, tokenizer.convert_ids_to_tokens(ids), texts, strict=True):
            if i in special or token is None:
                continue
            if not token.startswith(WORD_STARTS) and inside.match(text):
                kinds[i] += BEGINS_INSIDE
            if inside.fullmatch(text[-1:]):
                kinds[i] += ENDS_INSIDE
            if only_inside.fullmatch(text.strip()):
                kinds[i] += SOLID
        return cls(Spellings(tokenizer, rule, kinds & SOLID > 0, written), kinds)


Words = WordTable | FormTable


def load_words(tokenizer: PreTrainedTokenizerBase, vocab_size: int, rule: str) -> Words:
    """The words of a tokenizer: single token ids with the rule `id`, or else forms."""
    return _words(tokenizer, (len(tokenizer), *tokenizer.all_special_ids), vocab_size, rule)


@lru_cache(maxsize=4)
def _words(tokenizer: PreTrainedTokenizerBase, _tokens: tuple[int, ...], vocab_size: int, rule: str) -> Words:
    """Read once for corpus, episodes and probes; again after tokens were added or became special."""
    if rule == "id":
        return WordTable.from_tokenizer(tokenizer, vocab_size)
    return FormTable.from_tokenizer(tokenizer, vocab_size, rule)
