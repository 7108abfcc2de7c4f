"""Write recipes/help/, what each command prints for --help without importing torch. `make help` runs this."""

import contextlib
import io
from importlib import import_module
from pathlib import Path

RECIPES = Path(__file__).parents[1] / "recipes"


def main() -> None:
    """Write a file a command, and delete those of commands that are gone."""
    modules = {path.stem: path.stem for path in RECIPES.glob("[!_]*.py")}
    modules |= {path.parent.name: f"{path.parent.name}.command" for path in RECIPES.glob("*/__main__.py")}
    folder = RECIPES / "help"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, module in modules.items():
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            import_module(f"pico_maml.recipes.{module}").main(["--help"])
        (folder / f"{name}.txt").write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
