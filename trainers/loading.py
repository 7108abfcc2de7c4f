"""Load a checkpoint from a folder or from the Hub."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import cached_file

from ..modeling_pico import PicoConfig, PicoForCausalLM
from .errors import InputError
from .meta.episode_model import EpisodeModel
from .meta.meta_causal_lm import MetaCausalLM, check_config
from .meta.meta_model import PicoForMetaCausalLM
from .model_name import ModelName
from .runs.files import CLASSES_FILE, HEAD_FILE
from .word_classes import WordClasses


def load_pretrained(auto_class: Any, name: str, revision: str | None, fresh: str = "", **kwargs: Any) -> Any:
    """`auto_class.from_pretrained` of a folder or Hub name (see `ModelName`), a model or a configuration.

    Weights whose names start with `fresh` may be missing, because they are trained anew. With `output_loading_info`
    the caller judges the missing ones itself. Raises InputError if the model cannot be loaded, lacks weights, or its
    weights have other shapes than its configuration.
    """
    place = ModelName.parse(name, revision)
    kwargs = kwargs if kwargs.get("subfolder") else kwargs | {"subfolder": place.subfolder}
    is_model = not issubclass(auto_class, AutoConfig | PreTrainedConfig)
    wants_info = kwargs.pop("output_loading_info", False)
    options = kwargs | ({"output_loading_info": True, "ignore_mismatched_sizes": True} if is_model else {})
    try:
        loaded = auto_class.from_pretrained(place.path, revision=place.revision, **options)
    except Exception as error:  # files of any kind, read by several libraries
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot load a model from {name!r}: {reason}") from error
    if not is_model:
        return loaded
    model, info = loaded
    _check_shapes(name, model, info)
    missing = [key for key in info["missing_keys"] if not (fresh and key.startswith(fresh))]
    if missing and not wants_info:
        raise lacks_weights(name, missing)
    return loaded if wants_info else model


def lacks_weights(name: str, missing: Iterable[str]) -> InputError:
    """The error for weights that a checkpoint should have."""
    names = sorted(missing)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return InputError(
        f"{name!r} lacks weights that its config.json asks for ({', '.join(names[:3])}{more}): give a whole "
        "checkpoint of this kind of model, with its own config.json"
    )


def _check_shapes(name: str, model: PreTrainedModel, info: dict[str, Any]) -> None:
    """Raise InputError if weights do not fit the configuration, or belong to layers that it does not have."""
    if mismatched := sorted(info["mismatched_keys"]):
        key, in_file, wanted = mismatched[0]
        raise InputError(
            f"config.json and the weights of {name!r} differ in {len(mismatched)} shapes: {key} is {tuple(in_file)}, "
            f"by config.json it would be {tuple(wanted)}: give the config.json that belongs to the weights"
        )
    layers = f"{PicoForCausalLM.base_model_prefix}.layers."
    if unread := sorted(key for key in info["unexpected_keys"] if key.startswith(layers)):
        raise InputError(
            f"{name!r} has weights of more layers than the {model.config.num_hidden_layers} of its config.json, such "
            f"as {unread[0]}: give the config.json that belongs to the weights"
        )


def file_of(
    name: str, revision: str | None, file: str, subfolder: str = "", cache_dir: str | None = None
) -> Path | None:
    """A file of a checkpoint in a folder or on the Hub (see `ModelName`), or None."""
    model = ModelName.parse(name, revision)
    path = cached_file(
        model.path,
        file,
        revision=model.revision,
        subfolder=subfolder or model.subfolder,
        cache_dir=cache_dir,
        _raise_exceptions_for_missing_entries=False,
    )
    return None if path is None else Path(path)


def load_word_classes(name: str, revision: str | None, subfolder: str) -> WordClasses | None:
    """The word classes beside a checkpoint in a folder or on the Hub (see `ModelName`), or None."""
    path = file_of(name, revision, CLASSES_FILE, subfolder)
    return None if path is None else WordClasses.load(path)


def load_with_head(name: str, revision: str | None, **options: Any) -> EpisodeModel | None:
    """The model of a checkpoint with its head for episodes; None if it has none, or only its arguments, as an export.

    `options` are those of `from_pretrained`. Raises InputError as `load_pretrained`.
    """
    config = load_pretrained(AutoConfig, name, revision, **options)
    if "meta_head" not in config.to_dict():
        return None
    if isinstance(config, PicoConfig):
        model, info = load_pretrained(PicoForMetaCausalLM, name, revision, output_loading_info=True, **options)
        return None if info["missing_keys"] else model
    head = file_of(name, revision, HEAD_FILE, options.get("subfolder", ""), options.get("cache_dir"))
    if head is None:
        return None
    model = MetaCausalLM(load_pretrained(AutoModelForCausalLM, name, revision, **options))
    model.load_head(head)
    return model


def load_weights(name: str, shape: dict[str, int]) -> PicoForCausalLM:
    """The Pico of a checkpoint in float32, to train, with the head for episodes if it has one.

    Raises InputError if it cannot be loaded, lacks weights, or its configuration has other values than `shape`.
    """
    saved = load_pretrained(PicoConfig, name, None).to_dict()
    if differs := [f"{field} {saved[field]}" for field, value in shape.items() if saved[field] != value]:
        raise InputError(f"{name!r} has another shape than this run asks for: set {', '.join(differs)}")
    auto_class = PicoForMetaCausalLM if "meta_head" in saved else PicoForCausalLM
    model, info = load_pretrained(auto_class, name, None, output_loading_info=True, dtype=torch.float32)
    if info["missing_keys"]:
        raise lacks_weights(name, info["missing_keys"])
    return model


def load_other(name: str) -> PreTrainedModel | MetaCausalLM:
    """A model that is no Pico in float32, to train, with the head for episodes if it has one."""
    model = load_with_head(name, None, dtype=torch.float32)
    return load_pretrained(AutoModelForCausalLM, name, None, dtype=torch.float32) if model is None else model


def other_config(name: str) -> PreTrainedConfig | None:
    """The configuration of a checkpoint that is no Pico, None for a Pico; InputError if it is no text decoder."""
    config = load_pretrained(AutoConfig, name, None)
    if isinstance(config, PicoConfig):
        return None
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(f"{name!r} is a {config.model_type}, of which transformers has no causal language model")
    check_config(config, repr(name))
    return config


def most_tokens(config: PreTrainedConfig) -> float:
    """Tokens of the longest text that a model reads; infinite for one without a limit."""
    return getattr(config, "max_position_embeddings", None) or math.inf
