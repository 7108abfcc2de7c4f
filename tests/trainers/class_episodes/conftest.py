"""Text of the language of `class_run`, in which every sentence has a word of each class, in their order."""

import pytest
import torch
from class_run import CLASSES, WORDS
from datasets import Dataset

from pico_maml.trainers.corpus import train_tokenizer


@pytest.fixture(scope="session")
def text() -> list[str]:
    generator = torch.Generator().manual_seed(0)
    members = torch.randint(len(WORDS) // CLASSES, (120, 40, CLASSES), generator=generator)
    numbers = members * CLASSES + torch.arange(CLASSES)
    return [" ".join(WORDS[i] for i in row.flatten().tolist()) + " ." for row in numbers]


@pytest.fixture(scope="session")
def tokenizer(text):
    """Few merges, so that many words have several tokens."""
    return train_tokenizer(text, 330)


@pytest.fixture(scope="session")
def blocks(tokenizer, text) -> Dataset:
    """Blocks of 48 + 1 ids."""
    ids = [i for row in tokenizer(text)["input_ids"] for i in [*row, tokenizer.eos_token_id]]
    rows = [ids[start : start + 49] for start in range(0, len(ids) - 49, 48)]
    return Dataset.from_dict({"input_ids": rows}).with_format("numpy")
