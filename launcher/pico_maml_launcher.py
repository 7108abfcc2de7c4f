"""The command `pico-maml`: lists the commands of the package, or runs one.

This module lies outside the package because importing `pico_maml` imports transformers, which takes seconds: the list
of commands comes from docstrings, read without importing anything.
"""

import ast
import runpy
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Run `pico-maml COMMAND ARGUMENTS` as `python -m pico_maml.recipes.COMMAND ARGUMENTS`."""
    spec = find_spec("pico_maml")
    assert spec is not None, "pico_maml is installed together with this module"
    package = Path(str(spec.origin)).parent
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
        runpy.run_module(f"pico_maml.recipes.{name}", run_name="__main__", alter_sys=True)
    else:
        near = get_close_matches(name, commands, 1)
        hint = f"did you mean {near[0]}?" if near else "`pico-maml` lists the commands"
        print(f"error: {name!r} is not a command: {hint}", file=sys.stderr)
        sys.exit(2)


def list_commands(recipes: Path) -> dict[str, str]:
    """Names of the commands with the first line of their docstrings, in alphabetical order."""
    sources = {path.stem: path for path in recipes.glob("[!_]*.py")}
    sources |= {path.parent.name: path.with_name("__init__.py") for path in recipes.glob("*/__main__.py")}
    modules = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in sorted(sources.items())}
    return {name: (ast.get_docstring(module) or "").partition("\n")[0] for name, module in modules.items()}


if __name__ == "__main__":
    main()
