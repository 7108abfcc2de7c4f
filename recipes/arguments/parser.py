"""Arguments of a command: YAML files, overridden by the command line, checked against dataclasses."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from transformers import HfArgumentParser

from ...trainers import InputError
from ...trainers.errors import PublishError
from ...trainers.runs.process_end import drop_unwritable_output, ended_by_signals
from ...trainers.setup_checks import SETUP_ERRORS
from .failures import MENDABLE, message_of
from .help import help_text
from .places import check_places, expand_home
from .yaml_file import flow_mapping, read_yaml, typed

CONFIGS = Path(__file__).parents[1] / "configs"


class Parser(HfArgumentParser):
    """transformers' parser of dataclasses, which raises InputError."""

    def error(self, message: str) -> NoReturn:
        """Raise the message as an InputError."""
        raise InputError(message)


def parse(
    types: Sequence[type],
    argv: list[str] | None = None,
    prog: str = "COMMAND",
    defaults: Callable[[set[str], argparse.Namespace], dict[str, Any]] | None = None,
    as_text: Sequence[str] = (),
) -> tuple[Any, ...]:
    """Fill dataclasses from `--config FILE [FILE ...]` and the command line; returns one instance of each type.

    Later files override earlier ones, and the command line overrides them all. Mappings are YAML or JSON. `--help`
    and `--help_all` print the arguments of the command `prog` and exit. `defaults` returns values of arguments that
    are not given, from the names that are given and all values. In a file, mappings hold values, but those named in
    `as_text` hold text, because they are arguments of another command. A path that starts with `~` lies in the home
    folder. Raises InputError for an unknown argument, a wrong value, no such file, or a place that cannot be written
    to.
    """
    argv = sys.argv[1:] if argv is None else argv
    if {"-h", "--help", "--help_all"} & set(argv):
        print(help_text(types, prog, "--help_all" in argv))
        sys.exit()
    parser = Parser(types, allow_abbrev=False, add_help=False)
    mappings = mapping_names(types)
    rest = with_files(argv, {action.dest for action in parser._actions}, mappings, as_text)
    rest = with_json(rest, mappings)
    given = check_given(rest, parser, mappings)
    try:
        if defaults is not None:
            values, _ = parser.parse_known_args(rest)
            parser.set_defaults(**defaults(given, values))
        *parsed, stray = parser.parse_args_into_dataclasses(rest, True, look_for_args_file=False)
    except InputError:
        raise
    except SETUP_ERRORS as error:
        raise InputError(str(error) or type(error).__name__) from error
    if stray:
        raise InputError(f"no argument takes {' '.join(stray)!r}: values follow their --name")
    check_places(parsed)
    return tuple(parsed)


def peek(cls: type, argv: list[str] | None, types: Sequence[type]) -> Any:
    """One dataclass, whose values decide which of `types` a command then parses; all else is left for `parse`."""
    argv = sys.argv[1:] if argv is None else argv
    names = {field.name for each in types for field in fields(each)}
    rest = with_files(argv, names, mapping_names(types), ())
    parser = Parser((cls,), allow_abbrev=False, add_help=False)
    return parser.parse_args_into_dataclasses(rest, True, look_for_args_file=False)[0]


def with_files(argv: Sequence[str], valid: set[str], mappings: set[str], as_text: Sequence[str]) -> list[str]:
    """The arguments in the files that `--config` names, then those of the command line; `~` is expanded in both."""
    for argument in argv:
        if argument.endswith("\r"):
            raise InputError(f"{argument!r} ends with a carriage return: give the script the line ends of Unix")
    config = Parser((), add_help=False, allow_abbrev=False)
    config.add_argument("--config", nargs="+", action="extend", default=[])
    named, rest = config.parse_known_args(argv)
    files = [yaml_arguments(config_path(expand_home(name)), valid, mappings, as_text) for name in named.config]
    return [expand_home(argument) for argument in (*chain.from_iterable(files), *rest)]


def with_json(rest: Sequence[str], mappings: set[str]) -> list[str]:
    """The arguments with JSON in place of mappings in YAML, because transformers reads JSON."""
    converted, name = [], ""
    for argument in rest:
        option, value = "", argument
        if argument.startswith("--"):
            option, equals, value = argument.partition("=")
            name, option = option.removeprefix("--").replace("-", "_"), option + equals
        mapping = flow_mapping(value) if name in mappings else None
        converted.append(argument if mapping is None else option + json.dumps(mapping))
    return converted


def check_given(rest: Sequence[str], parser: Parser, mappings: set[str]) -> set[str]:
    """Names of the arguments that are given; raise InputError for an unknown name, or a value that is none."""
    actions = {action.dest: action for action in parser._actions}
    given = set()
    name = ""
    for argument in rest:
        value = argument
        if argument.startswith("--"):
            option, equals, value = argument.partition("=")
            name = option.removeprefix("--").replace("-", "_")
            if name.removeprefix("no_") not in actions:
                raise InputError(unknown(option, name, set(actions), "--"))
            name = name.removeprefix("no_")
            given.add(name)
            if not equals:
                continue
        if not value and name in actions and actions[name].default != "":
            raise InputError(f"{name} is empty: give a value, or leave it out")
        if name in actions and actions[name].type is float and value.lower().endswith("nan"):
            raise InputError(f"{name} must be a number, got {value}")
        if name in mappings:
            check_mapping(name, value)
    return given


def check_mapping(name: str, text: str) -> None:
    """Raise InputError unless the text is a mapping as JSON, or the path of a file that may hold one."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) and not Path(text).is_file():
        raise InputError(f"{name} must be JSON of a mapping, such as '{{\"key\": 1e-5}}', got {text!r}")


def mapping_names(types: Sequence[type]) -> set[str]:
    """Names of the arguments whose value is a mapping, which a command line has as JSON."""
    hints = {name: (hint, *get_args(hint)) for cls in types for name, hint in get_type_hints(cls).items()}
    return {name for name, parts in hints.items() if dict in {get_origin(part) or part for part in parts}}


def config_path(name: str) -> Path:
    """The file that `--config NAME` means: a path, or the name of a shipped file."""
    shipped = shipped_configs()
    for path in (Path(name), shipped.get(name, Path(name))):
        if path.is_file():
            return path
    raise InputError(f"no config file {name!r}: give a path, or one of {', '.join(sorted(shipped))}")


def shipped_configs() -> dict[str, Path]:
    """The YAML files that `--config` takes by name: recipes as NAME, others as FOLDER/NAME."""
    recipes = {path.stem: path for path in (CONFIGS / "recipes").glob("*.yaml")}
    return recipes | {
        f"{kind}/{path.stem}": path
        for kind in ("episodes", "optimizers", "studies")
        for path in (CONFIGS / kind).glob("*.yaml")
    }


def yaml_arguments(path: Path, valid: set[str], mappings: set[str], as_text: Sequence[str]) -> list[str]:
    """Turn a file into command-line arguments, so that both are parsed and checked by the same rules."""
    values = read_yaml(path, as_text)
    for key, value in values.items():
        if key not in valid:
            raise InputError(unknown(f"{path}: key {key!r}", key, valid, ""))
        if isinstance(value, dict) and key not in mappings:
            raise InputError(f"{path}: {key} takes no mapping, got {json.dumps(value)}: write a single value")
    return argument_list(
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in values.items()}
    )


def argument_list(values: dict[str, Any]) -> list[str]:
    """Turn `key: value` pairs, whose scalars may be text, into command-line arguments; mappings become JSON."""
    arguments = []
    for key, value in values.items():
        if isinstance(value, dict):
            arguments += [f"--{key}", json.dumps(typed(value))]
        elif isinstance(value, list):
            if nested := [item for item in value if isinstance(item, dict | list)]:
                raise InputError(f"{key} takes a list of single values, got {json.dumps(nested[0])} in it")
            arguments += [f"--{key}", *map(str, value)]
        elif value not in ("", "null", "~", None):
            arguments += [f"--{key}={value}"]
    return arguments


def unknown(subject: str, name: str, valid: set[str], prefix: str) -> str:
    """Error message for a name that is not an argument."""
    near = get_close_matches(name, valid, 1)
    hint = f"did you mean {prefix}{near[0]}?" if near else "see --help_all for the valid ones"
    return f"{subject} is not an argument: {hint}"


def run(main: Callable[[], Any]) -> None:
    """Run a command; an error that the user can fix is printed as one line (PICO_MAML_DEBUG=1: with a traceback).

    Exit codes: 2 if an input is wrong, as argparse does; 3 if the command is done but not everything is on the Hub;
    130 after Ctrl-C, 143 after SIGTERM. Output that nobody reads any more is dropped.
    """
    if not gc.isenabled():  # see _start.py
        gc.freeze()  # what is imported by now stays, so no collection need look at it
        gc.enable()
    drop_unwritable_output()
    try:
        with ended_by_signals():
            main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except MENDABLE as error:
        if os.environ.get("PICO_MAML_DEBUG") == "1":
            raise
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(3 if isinstance(error, PublishError) else 2)
