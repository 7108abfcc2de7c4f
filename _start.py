"""What a command does before it imports torch and transformers, which takes seconds: it prints its help.

Imported first by `pico_maml`, for `python -m pico_maml.recipes.COMMAND`; the launcher runs it for `pico-maml COMMAND`.
"""

import gc
import re
import runpy
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent


def begin(command: str, arguments: list[str]) -> None:
    """Print the help and exit if the arguments ask for it; otherwise switch garbage collection off.

    What modules define stays until the process ends, so looking for garbage while they are imported is a sixth of the
    time of importing them. `recipes.arguments.parser.run` switches it on again.
    """
    text = PACKAGE / "recipes" / "help" / f"{command}.txt"  # `make help` writes it
    # --help_all lists the arguments of the installed transformers, which has to be imported for that; `finetune` has
    # other arguments for another task.
    stored = text.is_file() and not any(re.match("--(help_all|task)(=|$)", argument) for argument in arguments)
    if {"-h", "--help"} & set(arguments) and stored:
        runpy.run_path(str(PACKAGE / "trainers" / "runs" / "process_end.py"))["drop_unwritable_output"]()
        print(text.read_text(encoding="utf-8"), end="")
        sys.exit()
    gc.disable()


# `python -m pico_maml.recipes.COMMAND ARGUMENTS`: argv[0] is "-m" only while Python looks for the module, whose name
# precedes the arguments in orig_argv.
if sys.argv[:1] == ["-m"]:
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    if module.startswith("pico_maml.recipes."):
        begin(module.removeprefix("pico_maml.recipes."), sys.argv[1:])
