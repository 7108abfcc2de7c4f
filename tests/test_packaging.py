"""What is installed: the package list, the wheel, imports outside the repository, and the arrows between floors."""

import ast
import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pico_maml.modeling_pico.remote_code import MODEL_FILES

ROOT = Path(__file__).parents[1]
FLOORS = {"modeling_pico": set(), "trainers": {"modeling_pico"}, "callbacks": {"modeling_pico", "trainers"}}


def listed_packages() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return set(setup["options"]["packages"].split())


def source_packages() -> set[str]:
    skipped = {"tests", "build", "dist", "runs"}
    folders = [path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py")]
    kept = [f for f in folders if not f.parts or (f.parts[0] not in skipped and not f.parts[0].startswith("."))]
    return {".".join(["pico_maml", *folder.parts]) for folder in kept}


def test_every_package_is_listed():
    assert listed_packages() == source_packages()


def test_the_wheel_holds_the_package_and_its_launcher_alone(tmp_path):
    # From a copy, because building leaves folders behind that the next wheel would pick up.
    source = tmp_path / "source"
    left_out = {str(ROOT): {"build", "dist", "runs", *(path.name for path in ROOT.glob(".*"))}}
    shutil.copytree(ROOT, source, ignore=lambda folder, names: left_out.get(folder, {"__pycache__"}))
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pico_maml", "pico_maml_launcher.py"}
    assert {
        "pico_maml/py.typed",
        "pico_maml/recipes/configs/recipes/demo.yaml",
        "pico_maml/recipes/help/pretrain.txt",
        "pico_maml/recipes/configs/episodes/paper.yaml",
        "pico_maml/recipes/configs/studies/demo.yaml",
        "pico_maml/recipes/compare/page/templates/study.html",
        "pico_maml/recipes/configs/lm_eval/held_out.yaml",
        "pico_maml/recipes/configs/accelerate/ddp.yaml",
        "pico_maml/recipes/configs/slurm/pretrain.sbatch",
        "pico_maml/trainers/data/sample-train.iob2",
        "pico_maml/trainers/data/uner.json",
        "pico_maml/trainers/data/published_ner.csv",
        "pico_maml/recipes/configs/recipes/uner-sweep.yaml",
        "pico_maml/recipes/publish/card/card.md.jinja",
        "pico_maml/recipes/report/page/templates/page.html",
        "pico_maml/recipes/report/paper.mplstyle",
    } <= set(names)
    assert not [name for name in names if "tests" in name or "conftest" in name]
    code = "import pico_maml, pico_maml.recipes.pretrain, pico_maml_launcher; print(pico_maml.__file__)"
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    (entry_points,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "pico-maml = pico_maml_launcher:main" in entry_points.read_text()
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == str(unpacked / "pico_maml" / "__init__.py")


def test_editable_install_imports_outside_the_repository(tmp_path):
    code = "import pico_maml; print(pico_maml.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "0.1.0"


@pytest.mark.parametrize("floor", FLOORS)
def test_floors_import_downwards_only(floor):
    for path in (ROOT / floor).rglob("*.py"):
        inside = len(path.relative_to(ROOT).parts) - 1
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level > inside:
                target = (node.module or "").split(".")[0]
                assert target in FLOORS[floor] | {"_version", "_caches"}, f"{path}: imports {target}"


# The commands that a command may import; a card is a view of a run, so publish draws with report.
COMMANDS = {
    "benchmark": {"prepare", "report"},
    "compare": {"pretrain", "evaluate", "finetune", "sweep", "report"},
    "demo": {"pretrain", "finetune"},
    "pretrain": {"publish", "report"},
    "publish": {"report"},
    "replay": {"pretrain", "publish"},
}


def test_commands_import_each_other_one_way():
    recipes = ROOT / "recipes"
    for path in recipes.rglob("*.py"):
        command, inside = path.relative_to(recipes).parts[0].removesuffix(".py"), len(path.relative_to(recipes).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == inside:
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                assert set(names) <= COMMANDS.get(command, set()) | {command, "arguments"}, f"{path}: imports {names}"


def test_modelling_files_import_nothing_that_the_hub_would_not_copy():
    for path in (ROOT / "modeling_pico").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1
                assert path.name not in MODEL_FILES or f"{node.module}.py" in MODEL_FILES
