"""Which files are labelled tasks, and what is wrong with others."""

import json

import pytest
from labelled_tasks import rows, write_entities, write_lines, write_tasks

from pico_maml.trainers import InputError
from pico_maml.trainers.tasks.files import Labelled, read_tasks

ROW = {"text": "ab cd", "label": "yes", "task": "t"}


def test_texts_have_their_label_and_task(tmp_path):
    found = read_tasks([write_tasks(tmp_path)])
    assert found == [Labelled(row["task"], row["label"], row["text"]) for row in rows()]


def test_numbers_are_names_and_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    line = json.dumps({"text": "ab\u2028cd", "label": 1, "task": 2}, ensure_ascii=False)
    assert read_tasks([write_lines(tmp_path / "a.jsonl", [line, ""])]) == [Labelled("2", "1", "ab\u2028cd")]


def test_each_entity_is_a_text_that_ends_with_it(tmp_path):
    columns = read_tasks([write_entities(tmp_path)])
    assert {row.task for row in columns} == {"names"}
    assert {row.label for row in columns} == {"PER", "DRUG", "LOC"}
    assert {row.end for row in columns} == {3}
    assert columns[0].text == ("aa", "aa", "ab", "ab")
    spans = {"text": "ab cd, ef", "entities": [[0, 2, "X"], [7, 9, "Y"]], "label": "not read"}
    found = read_tasks([write_lines(tmp_path / "spans.jsonl", [spans])])
    words = ("ab", "cd", ",", "ef")
    assert found == [Labelled("spans", "X", words, 1), Labelled("spans", "Y", words, 4)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([ROW, {"text": "ab"}], r"a.jsonl, line 2: no label and no task: write"),
        ([ROW, "", ROW | {"task": None}], r"line 3: no task"),
        ([ROW, "{"], r"line 2: no JSON"),
        (["[1]"], r"line 1: no object, but '\[1\]'"),
        ([ROW | {"text": " "}], r"line 1: text must be a string that is not empty, got ' '"),
        ([ROW | {"text": 5}], r"line 1: text must be a string that is not empty, got 5"),
        ([ROW | {"label": 0.5}], r"line 1: label and task must be strings or whole numbers, got 0.5 and 't'"),
        ([], r"a.jsonl is empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_tasks([write_lines(tmp_path / "a.jsonl", lines)])


def test_wrong_files_are_named(tmp_path):
    (tmp_path / "b.csv").write_text("text,label\n")
    (tmp_path / "c.conll").write_text("ab U-PER\n")
    (tmp_path / "below").mkdir()
    entities = write_entities(tmp_path), write_entities(tmp_path / "below")
    texts = write_lines(tmp_path / "a.jsonl", [ROW | {"task": "names"}])
    for paths, message in (
        ([str(tmp_path / "nothing.jsonl")], r"no file .*nothing.jsonl: check the path"),
        ([str(tmp_path)], r"no file"),
        ([str(tmp_path / "b.csv")], r"b.csv has no suffix of"),
        ([str(tmp_path / "c.conll")], r"unknown tag 'U-PER' in iob2.*words first and IOB2 tags last"),
        (entities, r"would be one task 'names': rename one"),
        ((entities[0], texts), r"task 'names' is in a file of texts and the name of a file of entities"),
    ):
        with pytest.raises(InputError, match=message):
            read_tasks(paths)
