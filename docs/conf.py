"""Settings of the documentation; `make docs` builds it."""

import re
from dataclasses import MISSING, fields
from inspect import isclass

from sphinx.application import Sphinx
from transformers import TrainingArguments

import pico_maml

project = "pico-maml"
author = copyright = "The pico-maml authors"
release = pico_maml.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pico-maml"
html_copy_source = False

myst_heading_anchors = 3
nb_execution_mode = "off"  # tests/test_docs.py executes the notebook
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
default_role = "literal"  # docstrings put code between single backticks
toc_object_entries = False


def list_arguments(app: Sphinx, what: str, name: str, cls: type, options: object, lines: list[str]) -> None:
    """Append the help text and default of each argument that a class adds to transformers' TrainingArguments."""
    if not (isclass(cls) and issubclass(cls, TrainingArguments)):
        return
    inherited = {argument.name for argument in fields(TrainingArguments)}
    for argument in fields(cls):
        if argument.name not in inherited:
            default = argument.default if argument.default_factory is MISSING else argument.default_factory()
            # "\\ " lets letters follow a literal, as in `add`ed.
            text = re.sub(r"`([^`]+)`", r"``\1``\\ ", " ".join(argument.metadata["help"].split()))
            lines += ["", f"``{argument.name}`` = ``{default!r}``", f"    {text}"]


def shorten_signature(app: Sphinx, what: str, name: str, cls: type, *_: object) -> tuple[str, None] | None:
    """Leave out transformers' hundred arguments from the signature of our subclasses of TrainingArguments."""
    return ("(output_dir, ...)", None) if isclass(cls) and issubclass(cls, TrainingArguments) else None


def setup(app: Sphinx) -> None:
    """Register the two hooks."""
    app.connect("autodoc-process-docstring", list_arguments)
    app.connect("autodoc-process-signature", shorten_signature)
