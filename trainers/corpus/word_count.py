"""How many words, separated by white space, token ids spell."""

import regex
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .words import WORD_STARTS


class WordStartCounter:
    """Counts the words that start in token ids, without decoding them.

    Args:
        tokenizer: reads each token once.
        vocab_size: V; ids beyond the tokenizer's vocabulary spell nothing.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
        ids = range(min(len(tokenizer), vocab_size))
        special = set(tokenizer.all_special_ids)
        texts = tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False)
        self._inside = torch.zeros(vocab_size, dtype=torch.long)  # words that start after white space of the token
        self._opens = torch.zeros(vocab_size, dtype=torch.bool)  # the token begins with a letter of some word
        self._closes = torch.zeros(vocab_size, dtype=torch.bool)  # what follows the token is a new word
        for i, token, text in zip(ids, tokenizer.convert_ids_to_tokens(ids), texts, strict=True):
            if i in special or token is None:
                self._closes[i] = True
                continue
            if token.startswith(WORD_STARTS) and not text[:1].isspace():
                text = f" {text}"  # SentencePiece drops the space of a token that is decoded alone
            self._inside[i] = len(regex.findall(r"(?<=\s)\S", text))
            self._opens[i] = text[:1].strip() != ""
            self._closes[i] = text[-1:].isspace()

    def count(self, token_ids: Tensor) -> Tensor:
        """Return the number of words that start in (R, T) token ids on the CPU.

        The first token of a row goes on with a word unless it has a space.
        """
        after_space = self._opens[token_ids[:, 1:]] & self._closes[token_ids[:, :-1]]
        return self._inside[token_ids].sum() + after_space.sum()
