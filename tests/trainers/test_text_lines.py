import pytest

from pico_maml.trainers import InputError
from pico_maml.trainers.ner.sources.columns import read_columns
from pico_maml.trainers.ner.sources.data_format import DataFormat
from pico_maml.trainers.ner.sources.spans import read_spans
from pico_maml.trainers.text_lines import read_lines


def test_lines_end_at_line_ends_alone(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffone\u2028still\x85one\r\ntwo\n".encode())
    assert read_lines(tmp_path / "a") == ["one\u2028still\x85one", "two", ""]


def test_unreadable_files_are_errors(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="latin: not UTF-8 at byte 4: convert the file"):
        read_lines(tmp_path / "latin")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\): check the path"):
        read_lines(tmp_path)


def test_a_line_separator_inside_a_text_splits_no_sentence(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Ann\u2028ran", "entities": [[0, 3, "PER"]]}\n')
    (tmp_path / "a.conll").write_text("Ann\tB-PER\nran\x85fast\tO\n")
    for (sentence,) in (read_spans(tmp_path / "a.jsonl"), read_columns(tmp_path / "a.conll", DataFormat())):
        assert sentence.tags == ["B-PER", "O"]
