"""The text of `--help` and `--help_all` of every command."""

import re
import runpy
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from transformers import TrainingArguments

from pico_maml.recipes.arguments.help import COMMON, RARE, WIDTH, help_text, title
from pico_maml.recipes.evaluate.arguments import EvaluateArguments
from pico_maml.recipes.finetune.ner import NERArguments
from pico_maml.recipes.pretrain.arguments import TYPES as PRETRAIN
from pico_maml.recipes.sweep.arguments import TYPES as SWEEP
from pico_maml.trainers.ner import NERConfig

DOCS, RECIPES = (Path(__file__).parents[3] / folder for folder in ("docs", "recipes"))
# Name of each command and the module with its `main`.
MODULES = {path.stem: path.stem for path in RECIPES.glob("[!_]*.py")}
MODULES |= {path.parent.name: f"{path.parent.name}.command" for path in RECIPES.glob("*/__main__.py")}
OWN = {field.name for field in fields(TrainingArguments)}


def listed(text: str) -> list[str]:
    """Names of the arguments that a help text describes."""
    return re.findall(r"^  --(\w+)", text, re.MULTILINE)


@pytest.mark.parametrize("command", sorted(MODULES))
def test_help_prints_under_100_lines_and_exits(command, capsys):
    with pytest.raises(SystemExit) as caught:
        import_module(f"pico_maml.recipes.{MODULES[command]}").main(["--help"])
    assert not caught.value.code
    printed = capsys.readouterr().out
    assert (RECIPES / "help" / f"{command}.txt").read_text() == printed, "run `make help`"
    lines = printed.splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith(f"usage: pico-maml {command} ")


def test_every_stored_help_is_of_a_command():
    assert {path.name for path in (RECIPES / "help").iterdir()} == {f"{command}.txt" for command in MODULES}


def test_the_docs_have_every_argument_in_full():
    script = runpy.run_path(str(DOCS / "write_help.py"))
    commands = {name: (module, []) for name, module in MODULES.items()}
    commands |= {name: (MODULES[command], options) for name, (command, options) in script["TASKS"].items()}
    assert {path.stem for path in (DOCS / "arguments").iterdir()} == set(commands)
    for name, (module, options) in commands.items():
        text = script["reference"](module, options)
        assert (DOCS / "arguments" / f"{name}.txt").read_text() == text, f"{name}: run `make help`"
    assert "--branch_from" in (DOCS / "arguments" / "pretrain.txt").read_text()


@pytest.mark.parametrize("types", [PRETRAIN, SWEEP, (NERArguments, NERConfig)])
def test_help_lists_our_usual_arguments_and_the_common_ones_of_transformers(types):
    text = help_text(types, "x", everything=False)
    names = {field.name for cls in types for field in fields(cls)}
    assert sorted(listed(text)) == sorted((names - OWN - RARE) | (names & set(COMMON)))
    assert all(f"{title(owner)}:\n  --" in text for owner in (*types, TrainingArguments))


@pytest.mark.parametrize("types", [PRETRAIN, SWEEP])
def test_help_all_lists_every_argument_with_its_whole_text(types):
    text = help_text(types, "x", everything=True)
    assert sorted(listed(text)) == sorted(field.name for cls in types for field in fields(cls))
    words = " ".join(text.split())
    for cls in types:
        for field in fields(cls):
            assert field.name in COMMON or " ".join(field.metadata["help"].split()) in words, field.name


def test_every_rare_argument_exists():
    assert {field.name for cls in PRETRAIN for field in fields(cls)} >= RARE


def test_help_shows_defaults_as_they_are_written_on_the_command_line():
    text = help_text(PRETRAIN, "x", everything=False)
    for expected in ("tiny]", "[false]", "[0.05]", "[attention.v_proj attention.o_proj ...]"):
        assert expected in text
    assert re.search(r"--d_model +Width of the residual stream \(unset: the size's\)\.$", text, re.MULTILINE)
    assert "[required]" in help_text((EvaluateArguments,), "x", everything=False)


def test_common_arguments_exist():
    assert set(COMMON) <= OWN
