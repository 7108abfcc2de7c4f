"""Which token ids are whole words: the candidates for classes of an SMLMT episode."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

# How byte-level BPE and SentencePiece mark a token that starts a word.
WORD_STARTS = ("Ġ", "▁")
# Characters that join what follows to the word before.
JOINERS = ("'", "\u2019", "_", "-")


@dataclass(frozen=True)
class WordTable:
    """Two facts about each of the V token ids.

    Attributes:
        is_word: (V,) bool, the token starts a word and is made of letters only.
        continues: (V,) bool, the token goes on with the word before it, so that word was not one token.
    """

    is_word: Tensor
    continues: Tensor

    def split(self, held_out: float) -> tuple["WordTable", "WordTable"]:
        """The table for training, and the one of words that training never makes a class of.

        Args:
            held_out: share of the words to hold out; which ones depends on their ids alone.
        """
        # Multiples of the golden ratio take an even share of frequent and of rare words (ids go by frequency).
        place = torch.arange(len(self.is_word), dtype=torch.float64) * ((5**0.5 - 1) / 2) % 1
        chosen = place < held_out
        return (
            WordTable(self.is_word & ~chosen, self.continues),
            WordTable(self.is_word & chosen, self.continues),
        )

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> "WordTable":
        """Read the table off a tokenizer; ids past its end (padding rows of the embedding) are neither."""
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
            # "don" before "'t", "foo" before "_bar" and "non" before "-empty" are no words; a broken character
            # (bytes of a longer one) is a letter of some script more often than not.
            continues[i] = not starts and (text[:1].isalnum() or text[:1] in JOINERS or "\ufffd" in text)
        return cls(is_word, continues)
