"""The command `pico-maml`, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import command_line
import forked
import pytest

import pico_maml

LAUNCHER = Path(__file__).parents[2] / "launcher"
RECIPES = Path(__file__).parents[2] / "recipes"
# What the console script does; the modules that were imported are printed to stderr at the end.
SCRIPT = """
import sys
sys.path.insert(0, {launcher!r})
from pico_maml_launcher import main
try:
    main()
finally:
    print("imported:", *sys.modules, file=sys.stderr)
"""


def pico_maml_command(*arguments: str) -> subprocess.CompletedProcess:
    code = SCRIPT.format(launcher=str(LAUNCHER))
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def imported(process: subprocess.CompletedProcess) -> set[str]:
    return set(process.stderr.rpartition("imported:")[2].split())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_lists_every_command_on_one_line_without_heavy_imports(arguments):
    process = pico_maml_command(*arguments)
    assert process.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in process.stdout.splitlines() if line.startswith("  "))
    folders = {path.parent.name for path in RECIPES.glob("*/__main__.py")}
    assert set(lines) == folders | {path.stem for path in RECIPES.glob("*.py")} - {"__init__"}
    assert all(len(summary) > 10 and summary[0].isupper() for summary in lines.values())
    assert max(map(len, process.stdout.splitlines())) <= 119
    assert not imported(process) & {"torch", "transformers", "pico_maml", "numpy"}


def test_version_is_printed_without_heavy_imports():
    process = pico_maml_command("--version")
    assert process.stdout.strip() == pico_maml.__version__
    assert not imported(process) & {"torch", "transformers", "pico_maml"}


@pytest.mark.parametrize("arguments", [("pretrain", "--help"), ("report", "--runs", "x", "-h")])
def test_help_of_a_command_is_its_stored_text_without_heavy_imports(arguments):
    text = (RECIPES / "help" / f"{arguments[0]}.txt").read_text()
    process = pico_maml_command(*arguments)
    assert process.returncode == 0
    assert process.stdout == text
    assert not imported(process) & {"torch", "transformers", "pico_maml", "numpy"}
    command = [sys.executable, "-X", "importtime", "-m", f"pico_maml.recipes.{arguments[0]}", *arguments[1:]]
    module = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert module.stdout == text
    names = {line.rpartition("|")[2].strip() for line in module.stderr.splitlines()}
    assert "pico_maml._start" in names
    assert not names & {"torch", "transformers", "numpy", "pico_maml.modeling_pico"}


def test_a_program_of_ones_own_may_import_the_package_and_take_help(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("import pico_maml")
    (tmp_path / "mine" / "__main__.py").write_text("import gc, sys; print(gc.isenabled(), *sys.argv[1:])")
    command = [sys.executable, "-m", "mine", "--help"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert process.stdout == "True --help\n"


@pytest.mark.parametrize(
    ("name", "hint"), [("pretrian", "did you mean pretrain?"), ("xyz", "`pico-maml` lists the commands")]
)
def test_unknown_command_is_one_line_with_the_nearest_name_and_exit_code_2(name, hint):
    process = pico_maml_command(name)
    assert process.returncode == 2
    assert process.stderr.splitlines()[0] == f"error: {name!r} is not a command: {hint}"
    assert process.stderr.splitlines()[1].startswith("imported:")


@pytest.mark.parametrize("command", ["pretrain", "predict"])
def test_runs_a_command_with_its_arguments_like_python_m(command, tmp_path):
    arguments = ["--n_wya", "3"]
    printed = forked.run(command_line.launcher, LAUNCHER, command, arguments, log=tmp_path / "launcher", exit_code=2)
    assert printed == forked.run(command_line.module, command, arguments, log=tmp_path / "module", exit_code=2)
    assert printed.startswith("error: --n_wya is not an argument")


def test_bare_import_registers_the_model_and_loads_neither_trainers_nor_what_they_need(model, tmp_path):
    model.save_pretrained(tmp_path)
    code = (
        "import sys, pico_maml; print(*sys.modules); from transformers import AutoModelForCausalLM; "
        f"print(type(AutoModelForCausalLM.from_pretrained({str(tmp_path)!r})).__module__)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    modules, registered = process.stdout.splitlines()
    assert registered == "pico_maml.modeling_pico.modeling_pico"
    unwanted = {"pico_maml.trainers", "pico_maml.callbacks", "pico_maml.recipes", "datasets", "pandas"}
    assert not set(modules.split()) & unwanted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("__init__.py", None, "the package pico_maml is missing or half installed"),
        ("recipes/export.py", "import no_such_package", "half installed (No module named 'no_such_package')"),
        ("recipes/export.py", '"""Export."""\nif True', "half installed (expected ':'"),
    ],
)
def test_a_half_installed_package_is_one_line(tmp_path, name, content, message):
    package = tmp_path / "pico_maml"
    (package / "recipes").mkdir(parents=True)
    for file in ("__init__.py", "recipes/__init__.py", "recipes/export.py"):
        if (file, content) != (name, None):
            (package / file).write_text(content if file == name else "")
    shutil.copy(RECIPES.parent / "_start.py", package)
    if content is not None and "if True" in content:  # the command is listed, what it imports is torn
        (package / "torn.py").write_text(content)
        (package / name).write_text("from .. import torn")
    code = f"import sys; sys.path.insert(0, {str(LAUNCHER)!r}); from pico_maml_launcher import main; main()"
    process = subprocess.run(
        [sys.executable, "-S", "-c", code, "export"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2, process.stderr
    assert message in process.stderr
    assert "Traceback" not in process.stderr
