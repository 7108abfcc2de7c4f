"""YAML files of arguments: types, line ends, encodings, and what is wrong in them."""

import json

import pytest

from pico_maml.recipes.arguments.parser import argument_list, parse
from pico_maml.recipes.arguments.yaml_file import read_yaml, typed
from pico_maml.trainers import InputError, MAMLConfig


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "a.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_numbers_in_a_mapping_are_numbers_and_quoted_ones_are_text(file):
    content = 'kwargs: {min_lr: 1e-5, steps: 7, on: true, name: no, none: null, text: "7", deep: {list: [1.5, x]}}'
    assert read_yaml(file(content)) == {
        "kwargs": {
            "min_lr": 1e-5,
            "steps": 7,
            "on": True,
            "name": "no",
            "none": None,
            "text": "7",
            "deep": {"list": [1.5, "x"]},
        }
    }
    assert read_yaml(file("arms: {1: {recipes: 3e-4}}"), as_text=["arms"]) == {"arms": {"1": {"recipes": "3e-4"}}}


def test_a_mapping_reaches_its_dataclass_with_numbers(file, tmp_path):
    schedule = "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1e-5}\n"
    (config,) = parse([MAMLConfig], ["--config", str(file(schedule)), "--output_dir", str(tmp_path), "--use_cpu"])
    assert config.lr_scheduler_kwargs == {"min_lr": 1e-5}


def test_a_mapping_inside_the_text_of_a_study_becomes_numbers_where_it_becomes_an_argument():
    arguments = argument_list({"seed": "7", "lr_scheduler_kwargs": {"min_lr": "1e-5", "name": "no"}})
    assert arguments[:2] == ["--seed=7", "--lr_scheduler_kwargs"]
    assert json.loads(arguments[2]) == {"min_lr": 1e-5, "name": "no"}
    assert typed(["1", "", "a", 2]) == [1, None, "a", 2]


@pytest.mark.parametrize(
    "content",
    [b"a: 1\r\nb: [x, y]\r\n", b"\xef\xbb\xbfa: 1\nb: [x, y]\n", "a: 1\nb: [x, y]\n".encode("utf-16")],
    ids=["windows", "byte-order mark", "utf-16"],
)
def test_line_ends_and_encodings_of_other_systems_are_read(file, content):
    assert read_yaml(file(content)) == {"a": "1", "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' is given twice"),
        ("k: {b: 1, b: 2}", "the key 'b' is given twice"),
        ("", "but it is empty"),
        ("\n \n", "but it is empty"),
        ("# nothing\n", "must hold `key: value` lines"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: &x [*x]", "recursive"),
        ("k: {when: !!timestamp 2026-01-01}", "not JSON serializable"),
        ("? [1]\n: 2", "unhashable key"),
        (b"a: \xff", "invalid start byte"),
        (b"a: 1\0", "special characters"),
        ("a:\n\t- 1", "cannot start any token"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(file, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(file(content))
    assert "a.yaml" in str(caught.value)
