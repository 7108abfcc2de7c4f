"""Finding the checkpoint to resume from; damaged ones are renamed."""

import logging
import re
from pathlib import Path

from ..files import free_folder
from .seal import damages

logger = logging.getLogger(__name__)


def numbered(run: Path) -> dict[int, Path]:
    """The checkpoint-N folders of a run by N, in ascending order."""
    folders = [path for path in run.glob("checkpoint-*") if re.fullmatch(r"\d+", path.name[11:]) and path.is_dir()]
    return dict(sorted((step_of(path), path) for path in folders))


def step_of(checkpoint: Path) -> int:
    """N of the folder checkpoint-N: the optimizer steps it was saved after."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def newest(run: Path, hashes: bool = True) -> Path | None:
    """The newest undamaged checkpoint of a run; None if there is none.

    Newer damaged ones are renamed to checkpoint-N.damaged, and the log says what is wrong with them. With `hashes`
    the hash of every file is compared, else only its size.
    """
    for folder in reversed(numbered(run).values()):
        damage = damages(folder, hashes)
        if not damage:
            return folder
        # Renamed and not deleted, so that no run resumes from it.
        aside = folder.rename(free_folder(folder.with_name(f"{folder.name}.damaged")))
        logger.warning("%s is damaged and was renamed to %s: %s", folder, aside.name, "; ".join(damage))
    return None
