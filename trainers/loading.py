"""Loading a checkpoint, with one clear error where there is none."""

from typing import Any

from safetensors import SafetensorError

from ..modeling_pico import PicoConfig, PicoForCausalLM
from .errors import InputError
from .meta.meta_model import PicoForMetaCausalLM
from .model_name import ModelName


def load_pretrained(auto_class: Any, name: str, revision: str | None, **kwargs: Any) -> Any:
    """`auto_class.from_pretrained` of a folder or of a place on the Hub (see `ModelName`).

    Raises:
        InputError: no such folder, Hub name or revision, or nothing in it that the class loads.
    """
    model = ModelName.parse(name, revision)
    # A folder within, unless the caller says itself which.
    kwargs = kwargs if kwargs.get("subfolder") else kwargs | {"subfolder": model.subfolder}
    try:
        return auto_class.from_pretrained(model.path, revision=model.revision, **kwargs)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load a model from {name!r}: {reason}") from error


def load_weights(name: str, shape: dict[str, int]) -> PicoForCausalLM:
    """The language model of a checkpoint, with the episodes' head where it has one, to begin a new run from.

    Args:
        name: folder or Hub name.
        shape: values of the configuration that the new run asks for.

    Raises:
        InputError: another shape, weights that are missing, or nothing there.
    """
    saved = load_pretrained(PicoConfig, name, None).to_dict()
    differs = [f"{field} {saved[field]}" for field, value in shape.items() if saved[field] != value]
    if differs:
        raise InputError(f"{name!r} has another shape than this run asks for: set {', '.join(differs)}")
    auto_class = PicoForMetaCausalLM if "meta_head" in saved else PicoForCausalLM
    model, info = load_pretrained(auto_class, name, None, output_loading_info=True)
    if info["missing_keys"]:
        raise InputError(f"{name!r} lacks weights: {', '.join(sorted(info['missing_keys']))}")
    return model
