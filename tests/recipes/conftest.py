"""One small pretraining run that the tests of several recipes look at, and never write to."""

import json
from pathlib import Path

import pytest
from pretrain_run import argv
from word_language import language

from pico_maml.recipes.pretrain import command as pretrain


@pytest.fixture(scope="session")
def corpus(text, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n\n".join(text))
    return str(path)


@pytest.fixture(scope="session")
def language_corpus(tmp_path_factory) -> str:
    """A corpus of the language of `word_language`, in which words have known classes."""
    path = tmp_path_factory.mktemp("language") / "text.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in language("latin")))
    return str(path)


@pytest.fixture(scope="session")
def pretrained(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    pretrain.main(argv(folder, corpus))
    return folder


@pytest.fixture
def held_out(corpus) -> list[str]:
    """Arguments of the held-out text that the run evaluated on."""
    return ["--dataset", corpus, "--block_size=48", "--eval_blocks=24", "--eval_fraction=0.1"]
