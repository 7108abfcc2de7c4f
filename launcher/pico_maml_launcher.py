"""The command `pico-maml`: lists the commands of the package, or runs one.

This module lies outside the package because importing `pico_maml` imports transformers, which takes seconds: the list
of commands comes from docstrings, read without importing anything.
"""

import ast
import os
import runpy
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn


def main() -> None:
    """Run `pico-maml COMMAND ARGUMENTS` as `python -m pico_maml.recipes.COMMAND ARGUMENTS`."""
    spec = find_spec("pico_maml")
    if spec is None or spec.origin is None:
        fail("the package pico_maml is missing or half installed: install it again (pip install --force-reinstall)")
    package = Path(spec.origin).parent
    commands = list_commands(package / "recipes")
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, commands))
        print("usage: pico-maml COMMAND [--ARGUMENT VALUE ...]\n")
        print("\n".join(f"  {command:<{width}}  {summary}" for command, summary in commands.items()))
        print("\npico-maml COMMAND --help lists the arguments of a command, pico-maml --version prints the version.")
    elif name == "--version":
        print(runpy.run_path(str(package / "_version.py"))["__version__"])
    elif name in commands:
        del sys.argv[1]
        run_command(package, name)
    else:
        near = get_close_matches(name, commands, 1)
        hint = f"did you mean {near[0]}?" if near else "`pico-maml` lists the commands"
        fail(f"{name!r} is not a command: {hint}")


def run_command(package: Path, name: str) -> None:
    """Run a command; what cannot be imported, as after an interrupted `pip install`, is one line."""
    try:
        runpy.run_path(str(package / "_start.py"))["begin"](name, sys.argv[1:])
        runpy.run_module(f"pico_maml.recipes.{name}", run_name="__main__", alter_sys=True)
    except (ImportError, SyntaxError, OSError) as error:
        if os.environ.get("PICO_MAML_DEBUG") == "1":
            raise
        fail(f"a package is missing or half installed ({error}): install it again (pip install --force-reinstall)")


def fail(message: str) -> NoReturn:
    """Print an error and exit with code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def list_commands(recipes: Path) -> dict[str, str]:
    """Names of the commands with the first line of their docstrings, in alphabetical order."""
    sources = {path.stem: path for path in recipes.glob("[!_]*.py")}
    sources |= {path.parent.name: path.with_name("__init__.py") for path in recipes.glob("*/__main__.py")}
    modules = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in sorted(sources.items())}
    return {name: (ast.get_docstring(module) or "").partition("\n")[0] for name, module in modules.items()}


if __name__ == "__main__":
    main()
