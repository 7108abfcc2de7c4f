"""The folder that becomes a revision: a checkpoint that anyone can load, with its run's files and a card."""

import shutil
from pathlib import Path

from ...modeling_pico import PicoConfig
from ...modeling_pico.remote_code import add_remote_code
from ...trainers.runs.files import HEAD_FILE
from ...trainers.runs.json_files import read_json
from .card.writing import write_card
from .queue import WEIGHTS, Entry, link_files
from .settings import Settings

# What loads a model and its tokenizer, and its learning dynamics; all else in a checkpoint is training state.
MODEL_FILES = (
    "generation_config.json",
    WEIGHTS,
    HEAD_FILE,
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "**/*.jinja",
    "learning_dynamics/*",
)


def revision_folder(entry: Entry, settings: Settings, weights_step: int | None = None) -> Path:
    """The entry's `revision/`, built at the first call, so that a retry uploads the same bytes.

    It has the model, the run's own files, the card with its figures, and of a Pico the modelling code, and a
    configuration that names it. With `weights_step` it has no model, and the card describes the weights of that step.
    """
    folder = entry.path / "revision"
    if not folder.exists():
        unfinished = entry.path / ".revision"
        shutil.rmtree(unfinished, ignore_errors=True)
        config = entry.state / "config.json"
        if read_json(config)["model_type"] == PicoConfig.model_type:
            add_remote_code(unfinished, config)
        else:
            link_files(entry.state, unfinished, config.name)
        for pattern in MODEL_FILES if weights_step is None else ():
            link_files(entry.state, unfinished, pattern)
        link_files(entry.state / "run", unfinished, "*")
        write_card(unfinished, entry, settings, weights_step)
        unfinished.rename(folder)
    return folder
