"""Small things that many tests need; nothing is downloaded."""

import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

# `python -m pytest` puts the repository on the path, where a spawned worker would take our `trainers` for the tests'.
if (root := str(Path(__file__).parents[1])) in sys.path:
    sys.path.remove(root)
# Before transformers and datasets are imported: no network, and no traces in the user's cache.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="pico-maml-datasets-")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "START_METHOD" in os.environ:  # of data workers: `make test-spawn`
    multiprocessing.set_start_method(os.environ["START_METHOD"])

import pytest
from hypothesis import settings

# The fixtures import what they need, because the process that hands out the tests needs none of it.

# A busy machine is no failure.
settings.register_profile("without_deadline", deadline=None)
settings.load_profile("without_deadline")

SHARED = Path(__file__).parents[2] / "shared"
LETTERS = "abcdefghij"
WORDS = [first + second for first in LETTERS for second in LETTERS]

gc.disable()  # what modules define stays


def pytest_collection_finish():
    """Collect garbage from here on, and none of what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def remove_cache():
    yield
    shutil.rmtree(os.environ["HF_DATASETS_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference files that lie beside the repository on the maintainers' machines only."""
    if not SHARED.is_dir():
        pytest.skip("needs the maintainers' reference files, which a clone does not have")
    return SHARED


@pytest.fixture(scope="session")
def text() -> list[str]:
    """Documents over 100 two-letter words, none more frequent than another."""
    import torch

    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(len(WORDS), (80, 150), generator=generator).tolist()
    return [" ".join(WORDS[i] for i in row) + " ." for row in draws]


@pytest.fixture(scope="session")
def tokenizer(text):
    from pico_maml.trainers.corpus import train_tokenizer

    return train_tokenizer(text, 400)


@pytest.fixture(scope="session")
def words(tokenizer):
    """The table of words of the tokenizer."""
    from pico_maml.trainers.corpus import WordTable

    return WordTable.from_tokenizer(tokenizer, len(tokenizer))


@pytest.fixture(scope="session")
def blocks(tokenizer, text):
    """Blocks of 48 + 1 ids."""
    from datasets import Dataset

    ids = [i for row in tokenizer(text)["input_ids"] for i in [*row, tokenizer.eos_token_id]]
    rows = [ids[start : start + 49] for start in range(0, len(ids) - 49, 48)]
    return Dataset.from_dict({"input_ids": rows}).with_format("numpy")


@pytest.fixture
def config(tokenizer):
    from pico_maml import PicoConfig

    return PicoConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        n_layers=2,
        attention_n_heads=4,
        attention_n_kv_heads=2,
        activation_hidden_dim=64,
        max_seq_len=64,
    )


@pytest.fixture
def model(config):
    import torch

    from pico_maml import PicoForCausalLM

    torch.manual_seed(0)
    return PicoForCausalLM(config)
