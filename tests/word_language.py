"""A language in which a word's place in the sentence is its class, in three scripts."""

from itertools import product

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from pico_maml.trainers.corpus import make_blocks, train_tokenizer

CLASSES, MEMBERS = 4, 25
SYLLABLES = {
    "latin": ("bdfgk", "aeiou", "lmnrs"),
    "cyrillic": ("бдфгк", "аеиоу", "лмнрс"),
    "devanagari": ("कखगघच", "ािीुू", "लमनरस"),
}


def vocabulary(script: str) -> list[list[str]]:
    """The words of each class; their letters say nothing about it."""
    words = ["".join(letters) for letters in product(*SYLLABLES[script])][: CLASSES * MEMBERS]
    return [words[number::CLASSES] for number in range(CLASSES)]


def language(script: str) -> list[str]:
    """Documents: 60 times 25 sentences of a word of each class, in their order, drawn at random."""
    generator, words = torch.Generator().manual_seed(0), vocabulary(script)
    drawn = torch.randint(MEMBERS, (60, 25, CLASSES), generator=generator).tolist()
    return [". " + " ".join(" ".join(map(list.__getitem__, words, row)) + " ." for row in rows) for rows in drawn]


def tokenized(documents: list[str], size: int) -> tuple[PreTrainedTokenizerFast, Dataset]:
    """A tokenizer with a vocabulary of that size, and the documents in a single block, which cuts no word."""
    tokenizer = train_tokenizer(documents, size)
    ids = sum(len(tokenizer(text)["input_ids"]) + 1 for text in documents)
    return tokenizer, make_blocks(Dataset.from_dict({"text": documents}), tokenizer, ids - 1)
