"""Arguments of a command: YAML files, overridden by the command line, checked against dataclasses."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml
from datasets.exceptions import DatasetGenerationError
from huggingface_hub.errors import StrictDataclassError
from pyarrow import ArrowInvalid
from transformers import HfArgumentParser

from ...trainers import InputError
from ...trainers.errors import PublishError
from ...trainers.runs.process_end import drop_unwritable_output, ended_by_signals
from .help import help_text

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
) -> tuple[Any, ...]:
    """Fill dataclasses from `--config FILE [FILE ...]` and the command line; returns one instance of each type.

    Later files override earlier ones, and the command line overrides them all. `--help` and `--help_all` print the
    arguments of the command `prog` and exit. `defaults` returns values of arguments that are not given, from the names
    that are given and all values. Raises InputError for an unknown argument, a wrong value or no such file.
    """
    argv = sys.argv[1:] if argv is None else argv
    if {"-h", "--help", "--help_all"} & set(argv):
        print(help_text(types, prog, "--help_all" in argv))
        sys.exit()
    parser = Parser(types, allow_abbrev=False, add_help=False)
    config = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    config.add_argument("--config", nargs="+", action="extend", default=[])
    named, rest = config.parse_known_args(argv)
    valid = {action.dest for action in parser._actions}
    rest = [*(argument for name in named.config for argument in yaml_arguments(config_path(name), valid)), *rest]
    given = set()
    for argument in rest:
        if argument.startswith("--"):
            name = argument.removeprefix("--").split("=")[0].replace("-", "_")
            if name.removeprefix("no_") not in valid:
                raise InputError(unknown(argument.split("=")[0], name, valid, "--"))
            given.add(name.removeprefix("no_"))
    try:
        if defaults is not None:
            values, _ = parser.parse_known_args(rest)
            parser.set_defaults(**defaults(given, values))
        *parsed, stray = parser.parse_args_into_dataclasses(rest, True, look_for_args_file=False)
    except InputError:
        raise
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(str(error)) from error
    if stray:
        raise InputError(f"no argument takes {' '.join(stray)!r}: values follow their --name")
    return tuple(parsed)


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


def yaml_arguments(path: Path, valid: set[str]) -> list[str]:
    """Turn a file into command-line arguments, so that both are parsed and checked by the same rules."""
    try:
        # BaseLoader leaves every scalar a string: YAML 1.1 would read 3e-4 as a string and `no` as a boolean.
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines")
    for key in values:
        if key not in valid:
            raise InputError(unknown(f"{path}: key {key!r}", key, valid, ""))
    return argument_list(values)


def argument_list(values: dict[str, Any]) -> list[str]:
    """Turn `key: value` pairs, whose scalars are strings, into command-line arguments."""
    arguments = []
    for key, value in values.items():
        if isinstance(value, dict):
            arguments += [f"--{key}", json.dumps(value)]
        elif isinstance(value, list):
            arguments += [f"--{key}", *map(str, value)]
        elif value not in ("", "null", "~"):
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
    drop_unwritable_output()
    try:
        with ended_by_signals():
            main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except (InputError, StrictDataclassError, OSError, PublishError, ArrowInvalid, DatasetGenerationError) as error:
        if os.environ.get("PICO_MAML_DEBUG") == "1":
            raise
        message = str(error)
        if isinstance(error, ArrowInvalid | DatasetGenerationError):
            reason = error.__cause__ or error
            message = f"a corpus file cannot be read ({reason}): repair or remove it, or set --skip_bad_files"
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(3 if isinstance(error, PublishError) else 2)
