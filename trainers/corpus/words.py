"""Words that are single tokens: a table of the token ids that are whole words."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .word_places import WordPlaces

# How byte-level BPE and SentencePiece mark a token that starts a word.
WORD_STARTS = ("Ġ", "▁")
# Characters that join what follows to the word before.
JOINERS = ("'", "\u2019", "_", "-")


@dataclass(frozen=True)
class WordTable:
    """Properties of the V token ids.

    Attributes:
        is_word: (V,) bool, the token starts a word and consists of letters.
        continues: (V,) bool, the token continues the word before it, which therefore is more than one token.
    """

    is_word: Tensor
    continues: Tensor

    def split(self, held_out: float) -> tuple["WordTable", "WordTable"]:
        """The table of training words, and the table of held-out words (never a class in a training episode).

        `held_out` is the share of held-out words; which words depends only on their ids.
        """
        # Multiples of the golden ratio hold out the same share of frequent and of rare words (ids go by frequency).
        place = torch.arange(len(self.is_word), dtype=torch.float64) * ((5**0.5 - 1) / 2) % 1
        chosen = place < held_out
        return (
            WordTable(self.is_word & ~chosen, self.continues),
            WordTable(self.is_word & chosen, self.continues),
        )

    def find(self, token_ids: Tensor) -> WordPlaces:
        """Return the places of the table's words in (R, T) token ids, on the CPU, by their ids."""
        flat = token_ids.reshape(-1)
        whole = torch.zeros_like(token_ids, dtype=torch.bool)
        whole[:, :-1] = ~self.continues[token_ids[:, 1:]]
        starts = torch.nonzero(self.is_word[flat]).flatten()
        # A place whose word goes on is listed too, because it must not stand in a window of that word.
        return WordPlaces(starts, starts + 1, flat[starts], whole.reshape(-1)[starts])

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> "WordTable":
        """The table of a tokenizer; ids beyond its vocabulary (padding rows of the embedding) are neither."""
        is_word = torch.zeros(vocab_size, dtype=torch.bool)
        continues = torch.zeros(vocab_size, dtype=torch.bool)
        ids = range(min(len(tokenizer), vocab_size))
        texts = tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False)
        special = set(tokenizer.all_special_ids)
        for i, token, text in zip(ids, tokenizer.convert_ids_to_tokens(ids), texts, strict=True):
            if i in special or token is None:
                continue
            starts = token.startswith(WORD_STARTS)
            is_word[i] = starts and text.strip().isalpha()
            # "don" before "'t", "foo" before "_bar" and "non" before "-empty" are no words; part of the bytes of a
            # character is a letter of some script more often than not.
            continues[i] = not starts and (text[:1].isalnum() or text[:1] in JOINERS or "\ufffd" in text)
        return cls(is_word, continues)
