"""English prose in every Python installation: the language reference and the docstrings of the library."""

import ast
import gc
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from pydoc_data import topics

import datasets
from datasets import Dataset, Features, Value
from datasets.fingerprint import Hasher

from .cache import copying

# Tests, tables and demonstrations hold little prose; site-packages is not part of Python.
SKIPPED_FOLDERS = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "encodings", "__pycache__"}


def load_prose() -> Dataset:
    """The documents as rows of `text`, from the cache of `datasets`: reading them anew takes seconds."""
    source = inspect.getsource(sys.modules[__name__])
    version = Hasher.hash([sys.version, sysconfig.get_paths()["stdlib"], source, datasets.__version__])
    with copying():
        return Dataset.from_generator(_rows, Features({"text": Value("string")}), gen_kwargs={"version": version})


def _rows(version: str) -> Iterator[dict[str, str]]:
    """Rows of the documents; the version of all that they depend on is part of the cache's key."""
    yield from ({"text": text} for text in python_prose())


def python_prose() -> Iterator[str]:
    """Yield documents: topics of the language reference, longest first, then each library module's docstrings as one.

    A document is skipped if most of its lines are in earlier ones: many topics are sections of longer topics, and a
    held-out section would be trained on. The order is fixed; the text depends on the Python version (2 MB in 3.11).
    """
    seen: set[str] = set()
    for text in chain(sorted(topics.topics.values(), key=lambda text: (-len(text), text)), library_docstrings()):
        lines = {line.strip() for line in text.splitlines() if len(line.strip()) >= 40}
        if len(lines & seen) <= len(lines) / 2:
            seen |= lines
            yield text


def library_docstrings() -> Iterator[str]:
    """Yield the docstrings of each module of the standard library as one text, sorted by path."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for folder, subfolders, names in os.walk(library):
        subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.endswith(".py"):
                text = "\n\n".join(module_docstrings(Path(folder, name)))
                if text:
                    yield text


def module_docstrings(path: Path) -> list[str]:
    """The docstrings of a module, its classes and its functions, in the order of the file."""
    try:
        with collection_paused():
            pending: list[ast.AST] = [ast.parse(path.read_bytes())]
    except (SyntaxError, ValueError):
        return []
    docstrings = []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstrings.append(ast.get_docstring(node))
            # Statements alone; ast.walk also visits every expression, which takes several times as long.
            pending.extend(reversed(node.body))
    return [text for text in docstrings if text]


@contextmanager
def collection_paused() -> Iterator[None]:
    """Turn garbage collection off: searching a new syntax tree for cycles takes longer than parsing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
