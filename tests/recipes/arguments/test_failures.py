"""A full disk and a forbidden place are named for what they are."""

import errno

import pytest
from datasets.arrow_writer import ArrowWriter
from datasets.exceptions import DatasetGenerationError
from pretrain_run import argv

from pico_maml.recipes.arguments.failures import message_of
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device", "/cache/part.arrow")


def test_a_full_cache_is_not_blamed_on_the_corpus(tmp_path, text, monkeypatch, capsys):
    corpus = tmp_path / "text.txt"
    corpus.write_text("\n\n".join(text))
    monkeypatch.setattr(ArrowWriter, "finalize", full)
    with pytest.raises(SystemExit) as caught:
        run(lambda: pretrain.main(argv(tmp_path / "out", corpus)))
    assert caught.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "no space is left on a disk" in line
    assert "HF_HOME" in line
    assert "remove it" not in line
    assert not (tmp_path / "out").exists()


def test_the_reason_is_found_behind_other_errors():
    try:
        try:
            full()
        except OSError as error:
            raise DatasetGenerationError("An error occurred while generating the dataset") from error
    except DatasetGenerationError as error:
        wrapped = InputError("cannot read the corpus")
        wrapped.__cause__ = error
    assert message_of(wrapped).startswith("no space is left on a disk (/cache/part.arrow)")


def test_an_error_that_is_its_own_cause_has_an_end():
    one, other = InputError("one"), ValueError("other")
    one.__cause__, other.__context__ = other, one
    assert message_of(one) == "one"


def test_a_damaged_corpus_file_and_a_forbidden_folder_are_named():
    damaged = DatasetGenerationError("wrapped")
    damaged.__cause__ = ValueError("line 3: no JSON")
    assert "a corpus file cannot be read (line 3: no JSON): repair or remove it" in message_of(damaged)
    assert "choose a folder that you may write to" in message_of(PermissionError(errno.EACCES, "denied", "/x"))
