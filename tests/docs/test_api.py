"""The API pages import what they describe, with and without the optional packages."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OBJECTS = [
    (kind, name)
    for page in sorted(ROOT.glob("docs/api/*.md"))
    for kind, name in re.findall(r"^\.\. auto(\w+):: ([\w.]+)", page.read_text(), re.MULTILINE)
]


def test_modules_of_the_api_pages_import_without_optional_packages():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    optional = ["wandb", "tensorboard", "trackio", "peft", "lm_eval", "gguf", "submitit"]
    assert {re.sub(r"\W", "_", name) for name in setup["options.extras_require"]} >= set(optional) - {"submitit"}
    modules = [name if kind == "module" else name.rpartition(".")[0] for kind, name in OBJECTS]
    code = f"import sys; sys.modules.update(dict.fromkeys({optional})); import {', '.join(modules)}"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr


def test_every_package_of_the_lower_floors_has_an_api_page():
    described = " ".join(name for _, name in OBJECTS)
    for floor in ("modeling_pico", "trainers", "callbacks"):
        for init in (ROOT / floor).glob("*/__init__.py"):
            assert f"pico_maml.{floor}.{init.parent.name}" in described
        assert f"pico_maml.{floor}" in described
