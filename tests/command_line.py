"""What the shell's `pico-maml COMMAND` and `python -m pico_maml.recipes.COMMAND` run."""

import runpy
import sys
from pathlib import Path


def launcher(folder: Path, command: str, arguments: list[str]) -> None:
    """Run the console script of the launcher that lies in `folder`."""
    sys.path.insert(0, str(folder))
    from pico_maml_launcher import main

    sys.argv = ["pico-maml", command, *arguments]
    main()


def module(command: str, arguments: list[str]) -> None:
    """Run the module of a command."""
    sys.argv = ["-m", *arguments]
    runpy.run_module(f"pico_maml.recipes.{command}", run_name="__main__", alter_sys=True)
