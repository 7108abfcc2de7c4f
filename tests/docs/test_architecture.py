"""The architecture page names every file, and only files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
FOLDERS = ("modeling_pico", "trainers", "callbacks", "recipes", "launcher")


def tree() -> dict[Path, str]:
    """Path and clause of each line of the tree, which indents by two spaces a level."""
    lines = PAGE.split("## Files")[1].split("```")[1].strip().splitlines()[1:]
    entries: dict[Path, str] = {}
    folders: list[str] = []
    for line in lines:
        indent, name, clause = re.fullmatch(r"( *)(\S+) +(\S.*)", line).groups()
        folders = folders[: len(indent) // 2]
        entries[Path(*folders, name)] = clause
        if name.endswith("/"):
            folders.append(name)
    return entries


def test_tree_names_every_module_and_every_folder():
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    modules = {path for path in files if path.name not in ("__init__.py", "__main__.py")}
    folders = {folder for path in files for folder in path.parents if ROOT in folder.parents}
    named = {ROOT / path for path in tree()}
    assert {str(path.relative_to(ROOT)) for path in modules | folders} <= {str(p.relative_to(ROOT)) for p in named}
    assert [str(path) for path in named if not path.exists()] == []


def test_files_that_the_page_points_to_exist():
    paths = re.findall(r"`((?:trainers|recipes|callbacks|modeling_pico)/[\w/]*(?:\.py)?)`", PAGE)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
