"""The form of a word, and the rules that say which words are held out of training.

A held-out word is never a class of a training episode. Which words are held out depends on a hash of the word's text
alone, so it is the same for every tokenizer.
"""

from collections.abc import Callable
from hashlib import blake2b
from unicodedata import normalize

import snowballstemmer

from ..errors import InputError

STEM = "stem:"


def casefolded(text: str) -> str:
    """Return the form of a word, which its case variants and all encodings of its accents and apostrophes share."""
    return normalize("NFC", normalize("NFD", text).casefold()).replace("\u2019", "'")


def exact(text: str) -> str:
    """Return the spelling of a word, which all encodings of its accents share, but not its case variants."""
    return normalize("NFC", text)


def word_number(word: str) -> int:
    """Return a number from 0 to 2^63 - 1 that tells words apart, by their form or by their spelling."""
    return _digest(word) >> 1


def check_held_out_rule(rule: str) -> None:
    """Raise InputError unless the rule is `id`, `form` or `stem:` and a language of snowballstemmer."""
    if rule in ("id", "form"):
        return
    languages = snowballstemmer.algorithms()
    if not rule.startswith(STEM):
        raise InputError(f"held_out_rule is {rule!r}: give form, id or stem:LANGUAGE, such as stem:english")
    if rule.removeprefix(STEM) not in languages:
        raise InputError(
            f"held_out_rule is {rule!r}, but there is no stemmer of that language: give one of {', '.join(languages)}"
        )


def held_out_places(rule: str) -> Callable[[str], float]:
    """Return the function from a form to its place in [0, 1); a share s holds out the forms whose place is below s.

    Args:
        rule: `form`, or `stem:LANGUAGE`, which gives all forms with the same stem one place.
    """
    if rule == "form":
        return _place
    stem = snowballstemmer.stemmer(rule.removeprefix(STEM)).stemWord
    return lambda form: _place(stem(form))


def _place(text: str) -> float:
    return (_digest(text) >> 11) / 2**53


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
