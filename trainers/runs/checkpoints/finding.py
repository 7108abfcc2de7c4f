"""Finding the checkpoint to resume from; damaged ones are renamed."""

import logging
import re
from pathlib import Path

from .seal import damages

logger = logging.getLogger(__name__)


def numbered(run: Path) -> dict[int, Path]:
    """The checkpoint-N folders of a run, by N."""
    matches = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in run.glob("checkpoint-*")}
    return {int(match[1]): path for path, match in matches.items() if match and path.is_dir()}


def newest(run: Path, hashes: bool = True) -> Path | None:
    """The newest undamaged checkpoint of a run; None if there is none.

    Newer damaged ones are renamed to checkpoint-N.damaged, and the log says what is wrong with them.

    Args:
        run: the run's folder.
        hashes: compare the hash of every file; False compares sizes only.
    """
    for _, folder in sorted(numbered(run).items(), reverse=True):
        wrong = damages(folder, hashes)
        if not wrong:
            return folder
        aside = set_aside(folder)
        logger.warning("%s is damaged and was renamed to %s: %s", folder, aside.name, "; ".join(wrong))
    return None


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint so that no run resumes from it; it is never deleted."""
    aside = folder.with_name(f"{folder.name}.damaged")
    number = 2
    while aside.exists():
        aside = folder.with_name(f"{folder.name}.damaged-{number}")
        number += 1
    return folder.rename(aside)
