"""Which checkpoint a run goes on from; damaged ones are set aside."""

import logging
import re
from pathlib import Path

from .seal import damages

logger = logging.getLogger(__name__)


def numbered(run: Path) -> dict[int, Path]:
    """The folders checkpoint-N of a run, by N."""
    found = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in run.glob("checkpoint-*")}
    return {int(match[1]): path for path, match in found.items() if match and path.is_dir()}


def newest(run: Path, hashes: bool = True) -> Path | None:
    """The newest whole checkpoint of a run, None where there is none.

    A newer one that is damaged is renamed to checkpoint-N.damaged, with one line in the log that says what is wrong.

    Args:
        run: folder of the run.
        hashes: read every file; False compares sizes alone, where another process has just read them.
    """
    for _, folder in sorted(numbered(run).items(), reverse=True):
        wrong = damages(folder, hashes)
        if not wrong:
            return folder
        aside = set_aside(folder)
        logger.warning("%s is damaged and set aside as %s: %s", folder, aside.name, "; ".join(wrong))
    return None


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint, so that nothing goes on from it; it is never deleted."""
    aside = folder.with_name(f"{folder.name}.damaged")
    number = 2
    while aside.exists():
        aside = folder.with_name(f"{folder.name}.damaged-{number}")
        number += 1
    return folder.rename(aside)
