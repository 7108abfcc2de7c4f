"""Arguments of a recipe: a YAML file, overridden by the command line, checked against dataclasses."""

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

CONFIGS = Path(__file__).parents[1] / "configs"


class Parser(HfArgumentParser):
    """transformers' parser of dataclasses, whose mistakes are exceptions and which takes no shortened names."""

    def __init__(self, types: Sequence[type], **kwargs: Any) -> None:
        super().__init__(types, allow_abbrev=False, **kwargs)
        self.add_argument(
            "--config",
            nargs="+",
            help="YAML file of arguments or a shipped one (see recipes/configs); of several the last wins.",
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        raise InputError(message)


def parse(types: Sequence[type], argv: list[str] | None = None, prog: str | None = None) -> tuple[Any, ...]:
    """Fill dataclasses from `--config FILE [FILE ...]`, later files first, and the command line, which wins.

    Args:
        types: the dataclasses; their fields are the arguments.
        argv: the command line without the program; by default that of the process.
        prog: the program's name for `--help`.

    Returns:
        One instance of each type.

    Raises:
        InputError: an unknown argument (names the nearest valid one), a value of the wrong type, or no such file.
    """
    parser = Parser(types, prog=prog)
    argv = sys.argv[1:] if argv is None else argv
    config = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    config.add_argument("--config", nargs="+", action="extend", default=[])
    named, rest = config.parse_known_args(argv)
    valid = {action.dest for action in parser._actions} - {"help", "config"}
    rest = [*(argument for name in named.config for argument in yaml_arguments(config_path(name), valid)), *rest]
    for argument in rest:
        name = argument.removeprefix("--").split("=")[0].replace("-", "_")
        if argument.startswith("--") and name.removeprefix("no_") not in valid | {"help"}:
            raise InputError(unknown(argument.split("=")[0], name, valid, "--"))
    try:
        *parsed, stray = parser.parse_args_into_dataclasses(rest, True, look_for_args_file=False)
        if stray:
            raise InputError(f"no argument takes {' '.join(stray)!r}: values follow their --name")
        return tuple(parsed[: len(types)])
    except InputError:
        raise
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(str(error)) from error


def config_path(name: str) -> Path:
    """The file of `--config`: a path, or the bare name of a shipped recipe."""
    shipped = shipped_configs()
    for path in (Path(name), shipped.get(name, Path(name))):
        if path.is_file():
            return path
    raise InputError(f"no config file {name!r}: give a path, or one of {', '.join(sorted(shipped))}")


def shipped_configs() -> dict[str, Path]:
    """The YAML files that `--config` takes by name: recipes as NAME, the rest as episodes/NAME and studies/NAME."""
    recipes = {path.stem: path for path in (CONFIGS / "recipes").glob("*.yaml")}
    return recipes | {
        f"{kind}/{path.stem}": path for kind in ("episodes", "studies") for path in (CONFIGS / kind).glob("*.yaml")
    }


def yaml_arguments(path: Path, valid: set[str]) -> list[str]:
    """The file as command-line arguments, so that both are read and checked by the same rules."""
    try:
        # BaseLoader keeps every scalar as it is written: YAML 1.1 would make 3e-4 a string and `no` a boolean.
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines")
    arguments = []
    for key, value in values.items():
        if key not in valid:
            raise InputError(unknown(f"{path}: key {key!r}", key, valid, ""))
        if isinstance(value, dict):
            arguments += [f"--{key}", json.dumps(value)]
        elif isinstance(value, list):
            arguments += [f"--{key}", *map(str, value)]
        elif value not in ("", "null", "~"):
            arguments += [f"--{key}={value}"]
    return arguments


def unknown(subject: str, name: str, valid: set[str], prefix: str) -> str:
    """The message for a name that is no argument."""
    near = get_close_matches(name, valid, 1)
    hint = f"did you mean {prefix}{near[0]}?" if near else "see --help for the valid ones"
    return f"{subject} is not an argument: {hint}"


def run(main: Callable[[], Any]) -> None:
    """Run a recipe; what the user can put right becomes one line and an exit code (PICO_MAML_DEBUG=1: a traceback).

    The code is 2, as argparse's, where something given is wrong, and 3 where all is done but not all is on the Hub.
    """
    try:
        main()
    except (InputError, StrictDataclassError, OSError, PublishError) as error:
        if os.environ.get("PICO_MAML_DEBUG") == "1":
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(3 if isinstance(error, PublishError) else 2)
    except (ArrowInvalid, DatasetGenerationError) as error:
        if os.environ.get("PICO_MAML_DEBUG") == "1":
            raise
        reason = " ".join(str(error.__cause__ or error).split())
        print(
            f"error: a corpus file cannot be read ({reason}): mend or remove it, or take --skip_bad_files",
            file=sys.stderr,
        )
        sys.exit(2)
