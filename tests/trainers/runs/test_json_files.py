import json

import pytest

from pico_maml.trainers.errors import InputError
from pico_maml.trainers.runs.json_files import JsonLines, read_json, write_json


def test_json_is_read_back_and_no_temporary_file_stays(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"ä": [1, None]})
    assert read_json(tmp_path / "new" / "a.json") == {"ä": [1, None]}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_json_that_cannot_be_written_leaves_the_old_file_and_no_other(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), (b"{", "is damaged"), (b"\xff\xfe\x00", "is damaged"), (b"[1]", "holds no JSON object")],
)
def test_missing_and_damaged_json_is_an_error_that_names_the_file(content, message, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.json {message}"):
        read_json(path)


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\x00", b'{"step": 3, "lo', b"[1, 2]", b"7", b'{"loss": 1.0}', b'{"step": null}', b"\x00" * 9]
)
def test_damaged_line_costs_that_line_alone(damage, tmp_path, caplog):
    lines = JsonLines(tmp_path / "runs" / "metrics.jsonl")
    for step in (1, 2):
        lines.append({"step": step})
    with lines.path.open("ab") as file:
        file.write(damage + b"\n")
    lines.append({"step": 4})
    assert lines.read() == ([{"step": 1}, {"step": 2}, {"step": 4}], 1)
    lines.cut_back_to(2)
    assert lines.path.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert "1 damaged line(s) dropped" in caplog.text
    assert [path.name for path in lines.path.parent.iterdir()] == ["metrics.jsonl"]


def test_torn_last_line_does_not_swallow_the_next_one(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.path.write_text('{"step": 1}\n{"ste')
    lines.append({"step": 2})
    assert lines.read() == ([{"step": 1}, {"step": 2}], 1)


def test_absent_file_has_no_rows(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    assert lines.read() == ([], 0)
    lines.cut_back_to(3)
    assert not lines.path.exists()


def test_line_of_another_program_with_unicode_separators_is_one_line(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.path.write_text(
        json.dumps({"step": 1, "text": "a\u2028b\x85c"}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert lines.read()[0][0]["text"] == "a\u2028b\x85c"
