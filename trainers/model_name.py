"""How a model is named wherever one is taken: a folder, or a place on the Hub."""

from pathlib import Path
from typing import NamedTuple

from .errors import InputError


class ModelName(NamedTuple):
    """A folder, or a model on the Hub.

    Attributes:
        path: folder, or user/name.
        revision: branch, tag or commit on the Hub; None for its default.
        subfolder: the folder inside that holds the model, "" for the top.
    """

    path: str
    revision: str | None = None
    subfolder: str = ""

    @classmethod
    def parse(cls, text: str, revision: str | None = None) -> "ModelName":
        """From FOLDER or USER/NAME[@REVISION][:SUBFOLDER]; what exists on this disk is a folder.

        Args:
            text: what was given, such as `pico-lm/pico-decoder-tiny@step-1000` or
                `davidafrica/pico-maml-decoder-tiny:checkpoints/step_100`.
            revision: a revision that was given apart from it.

        Raises:
            InputError: two revisions, or nothing before or behind an @ or a colon.
        """
        if Path(text).exists():
            return cls(text, revision)
        place, colon, subfolder = text.partition(":")
        path, at, named = place.partition("@")
        if not path or (at and not named) or (colon and not subfolder) or "@" in named:
            raise InputError(f"a model is a folder or user/name[@revision][:subfolder], got {text!r}")
        if named and revision is not None:
            raise InputError(f"{text!r} names the revision {named!r}, and revision {revision!r} another: give one")
        return cls(path, named or revision, subfolder)
