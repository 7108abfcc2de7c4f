"""Which files a revision holds."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

from ...modeling_pico.remote_code import add_remote_code
from .card.text import write_card
from .queue import Entry
from .settings import Settings

# What is needed to load a model and its tokenizer, and what was measured of it; the rest is training state.
MODEL = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.jinja",
    "learning_dynamics/*",
)


def revision_files(entry: Entry, settings: Settings) -> dict[str, Path]:
    """A checkpoint that anyone can load: by path in the repository, the file on disk.

    Weights, tokenizer and learning dynamics are those of the checkpoint; of the run its metrics and results up to the
    step and its arguments; the card, its figures, the modelling code and the configuration that names it are made once
    and kept in the entry.
    """
    checkpoint = files_in(entry.path / "checkpoint")
    model = {path: file for path, file in checkpoint.items() if any(fnmatch(path, pattern) for pattern in MODEL)}
    return model | described(entry, settings)


def described(entry: Entry, settings: Settings, weights_step: int | None = None) -> dict[str, Path]:
    """What a revision says of its run, without the weights, which may be those of another step."""
    generated = entry.path / "generated"
    if not generated.exists():
        temporary = entry.path / ".generated"
        shutil.rmtree(temporary, ignore_errors=True)
        add_remote_code(temporary, entry.path / "checkpoint" / "config.json")
        write_card(temporary, entry, settings, weights_step)
        temporary.rename(generated)
    run = {path: file for path, file in files_in(entry.path / "run").items() if "/" not in path}
    return run | files_in(generated)


def state_files(entry: Entry) -> dict[str, Path]:
    """Everything that training goes on from: the checkpoint as it is, and the run's files in `run/`."""
    run = {f"run/{path}": file for path, file in files_in(entry.path / "run").items()}
    return files_in(entry.path / "checkpoint") | run


def files_in(folder: Path) -> dict[str, Path]:
    """The files in a folder and its subfolders, by relative path."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
