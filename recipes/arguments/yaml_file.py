"""Read the arguments in a YAML file, by the rules of YAML 1.2: `3e-4` is a number, `no` is a word."""

import json
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

from ...trainers import InputError


class Texts(yaml.BaseLoader):
    """Loads every scalar as a string; a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node; raise YAMLError for a key that is given twice."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.MarkedYAMLError(None, None, f"the key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class Values(yaml.SafeLoader):
    """Loads numbers, booleans and nulls as what they are."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (the class attribute that PyYAML reads)


# The core schema of YAML 1.2; that of 1.1, PyYAML's, takes 3e-4 for a string and `no` for a boolean.
SCHEMA = {
    "bool": "true|True|TRUE|false|False|FALSE",
    "null": "~|null|Null|NULL|",
    "int": r"[-+]?(?:0|[1-9]\d*)",
    "float": r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}
for tag, pattern in SCHEMA.items():
    Values.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), None)
NO_TEXT = re.compile("|".join(SCHEMA.values()))


def typed(value: Any) -> Any:
    """The value with numbers, booleans and nulls in place of their text, in mappings and lists too."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.load(value, Values) if isinstance(value, str) and NO_TEXT.fullmatch(value) else value


def flow_mapping(text: str) -> dict[str, Any] | None:
    """The mapping that a text in braces is, in YAML or JSON; None if it is another text.

    Raises InputError if it cannot be read, or gives a key twice.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        texts, values = yaml.load(text, Texts), yaml.load(text, Values)  # the first finds keys that are given twice
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{text!r} is no mapping in YAML or JSON: {' '.join(str(error).split())}") from error
    return {str(key): value for key, value in values.items()} if isinstance(texts, dict) else None


def read_yaml(path: Path, as_text: Container[str] = ()) -> dict[str, Any]:
    """The `key: value` lines of a file: scalars as the text that they are on a command line, mappings as values.

    Numbers inside a mapping are numbers, except under the keys in `as_text`, whose mappings hold arguments themselves.
    Line ends and UTF-8 or UTF-16, with a byte-order mark or without, are as the YAML standard allows.
    Raises InputError if the file is no YAML, is empty, or gives a key twice.
    """
    content = path.read_bytes()
    try:
        texts, values = yaml.load(content, Texts), yaml.load(content, Values)
        if isinstance(texts, dict):
            json.dumps(values)  # a value of another type, such as a date, is no argument
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not a YAML file of arguments: {error}") from error
    if not isinstance(texts, dict):
        raise InputError(f"{path} must hold `key: value` lines" + ("" if content.strip() else ", but it is empty"))
    mappings = {key for key, value in texts.items() if isinstance(value, dict) and key not in as_text}
    return {key: values[key] if key in mappings else value for key, value in texts.items()}
