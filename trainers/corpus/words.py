"""Table of the token ids that are whole words: the candidates for classes of an SMLMT episode."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .word_forms import casefolded, held_out_places

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
        places: (V,) float64, a share s of held-out words is those with a place below s; None: go by ids.
    """

    is_word: Tensor
    continues: Tensor
    places: Tensor | None = None

    def split(self, held_out: float) -> tuple["WordTable", "WordTable"]:
        """The table of training words, and the table of held-out words (never a class in a training episode).

        `held_out` is the share of held-out words.
        """
        places = self.places
        if places is None:
            # Multiples of the golden ratio hold out the same share of frequent and rare words (ids go by frequency).
            places = torch.arange(len(self.is_word), dtype=torch.float64) * ((5**0.5 - 1) / 2) % 1
        chosen = places < held_out
        return replace(self, is_word=self.is_word & ~chosen), replace(self, is_word=self.is_word & chosen)

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, vocab_size: int, rule: str = "id") -> "WordTable":
        """The table of a tokenizer; ids beyond its vocabulary (padding rows of the embedding) are neither.

        `rule` says which words are held out: see `held_out_places`, and `id`.
        """
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
        if rule == "id":
            return cls(is_word, continues)
        place = held_out_places(rule)
        places = [place(casefolded(texts[i].strip())) if is_word[i] else 1.0 for i in ids]
        return cls(is_word, continues, torch.tensor(places + [1.0] * (vocab_size - len(ids)), dtype=torch.float64))
