"""Loading a checkpoint, with one clear error where there is none."""

from typing import Any

from ...trainers import InputError


def load_pretrained(auto_class: Any, name: str, revision: str | None, **kwargs: Any) -> Any:
    """`auto_class.from_pretrained(name)`.

    Raises:
        InputError: no such folder or Hub name, or nothing in it that the class loads.
    """
    try:
        return auto_class.from_pretrained(name, revision=revision, **kwargs)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load a model from {name!r}: {reason}") from error
