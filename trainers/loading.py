"""Load a checkpoint from a folder or from the Hub."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils import cached_file

from ..modeling_pico import PicoConfig, PicoForCausalLM
from .errors import InputError
from .meta.meta_model import PicoForMetaCausalLM
from .model_name import ModelName
from .runs.files import CLASSES_FILE
from .word_classes import WordClasses


def load_pretrained(auto_class: Any, name: str, revision: str | None, **kwargs: Any) -> Any:
    """`auto_class.from_pretrained` of a folder or Hub name (see `ModelName`); raise InputError if that fails."""
    model = ModelName.parse(name, revision)
    kwargs = kwargs if kwargs.get("subfolder") else kwargs | {"subfolder": model.subfolder}
    try:
        return auto_class.from_pretrained(model.path, revision=model.revision, **kwargs)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load a model from {name!r}: {reason}") from error


def load_word_classes(name: str, revision: str | None, subfolder: str) -> WordClasses | None:
    """The word classes beside a checkpoint in a folder or on the Hub (see `ModelName`), or None."""
    model = ModelName.parse(name, revision)
    path = cached_file(
        model.path,
        CLASSES_FILE,
        revision=model.revision,
        subfolder=subfolder or model.subfolder,
        _raise_exceptions_for_missing_entries=False,
    )
    return None if path is None else WordClasses.load(Path(path))


def load_weights(name: str, shape: dict[str, int]) -> PicoForCausalLM:
    """The language model of a checkpoint in float32, to train, with the head for episodes if it has one.

    Raises InputError if it cannot be loaded, lacks weights, or its configuration has other values than `shape`.
    """
    saved = load_pretrained(PicoConfig, name, None).to_dict()
    if differs := [f"{field} {saved[field]}" for field, value in shape.items() if saved[field] != value]:
        raise InputError(f"{name!r} has another shape than this run asks for: set {', '.join(differs)}")
    auto_class = PicoForMetaCausalLM if "meta_head" in saved else PicoForCausalLM
    model, info = load_pretrained(auto_class, name, None, output_loading_info=True, dtype=torch.float32)
    if info["missing_keys"]:
        raise InputError(f"{name!r} lacks weights: {', '.join(sorted(info['missing_keys']))}")
    return model
