"""Write what each command prints for --help, and docs/arguments/, every argument in full. `make help` runs this."""

import contextlib
import io
from importlib import import_module
from pathlib import Path

from transformers import TrainingArguments

from pico_maml.recipes.arguments.help import title

DOCS = Path(__file__).parent
RECIPES = DOCS.parent / "recipes"
# Commands with other arguments for another task.
TASKS = {"finetune-text-classification": ("finetune", ["--task", "text-classification"])}


def main() -> None:
    """Write a file a command to both folders, and delete those of commands that are gone."""
    modules = {path.stem: path.stem for path in RECIPES.glob("[!_]*.py")}
    modules |= {path.parent.name: f"{path.parent.name}.command" for path in RECIPES.glob("*/__main__.py")}
    write(RECIPES / "help", {name: printed(module, ["--help"]) for name, module in modules.items()})
    whole = {name: reference(module, []) for name, module in modules.items()}
    of_tasks = {name: reference(modules[command], options) for name, (command, options) in TASKS.items()}
    write(DOCS / "arguments", whole | of_tasks)


def reference(module: str, options: list[str]) -> str:
    """Every argument of ours in full, and those of transformers that --help lists."""
    heading = title(TrainingArguments)
    _, *usual = printed(module, [*options, "--help"]).partition(heading)
    return printed(module, [*options, "--help_all"]).partition(heading)[0] + "".join(usual)


def printed(module: str, argv: list[str]) -> str:
    """What the command of a module prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        import_module(f"pico_maml.recipes.{module}").main(argv)
    return text.getvalue()


def write(folder: Path, texts: dict[str, str]) -> None:
    """Make these texts all that is in a folder."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
