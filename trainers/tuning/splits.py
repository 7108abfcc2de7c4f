"""Train, validation and test: by the names of files, by the splits of a data set, or cut from a single file."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from datasets import DatasetDict, load_dataset, load_from_disk

from ..errors import InputError

Row = TypeVar("Row")
# The end of a file's name, without its suffix, that tells its split.
ENDINGS = {"train": "train", "validation": "dev|valid|validation|testa", "test": "test|testb"}
# Names of splits of data sets.
NAMES = {"train": "train", "validation": "validation", "dev": "validation", "valid": "validation", "test": "test"}
# Of a folder that `save_to_disk` wrote.
ON_DISK = ("dataset_dict.json", "state.json")


def files_by_split(folder: Path, suffixes: Collection[str], example: str) -> dict[str, list[Path]]:
    """The files of a folder whose names end with train, dev or test, by split and in the order of their names.

    Args:
        suffixes: of the files that count.
        example: names of such files, for the error.

    Raises:
        InputError: no file has such a name.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix in suffixes and path.is_file()]
    splits = {
        split: [path for path in files if re.search(rf"(?:^|[-_.])(?:{endings})$", path.stem)]
        for split, endings in ENDINGS.items()
    }
    if not any(splits.values()):
        raise InputError(
            f"{folder} has no file whose name ends with train, dev or test, such as {example}: it holds "
            f"{', '.join(path.name for path in files[:5]) or 'no labelled file'}"
        )
    return {split: paths for split, paths in splits.items() if paths}


def is_saved(folder: Path) -> bool:
    """True for a folder that `save_to_disk` wrote."""
    return any((folder / name).is_file() for name in ON_DISK)


def load_splits(name: str, config_name: str | None = None) -> DatasetDict:
    """The train, validation and test splits of a folder of `save_to_disk`, or of a data set of the Hub.

    Raises:
        InputError: the data set cannot be loaded.
    """
    try:
        loaded: Any = load_from_disk(name) if Path(name).exists() else load_dataset(name, config_name)
    except Exception as error:  # of the Hub, of files and of `datasets` itself
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"cannot load {name!r} ({reason}): check the name and the network") from error
    splits = loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)
    return DatasetDict({NAMES[split]: rows for split, rows in splits.items() if split in NAMES})


def split_validation(rows: list[Row]) -> dict[str, list[Row]]:
    """Every tenth sentence for validation, the others for train; InputError if there is no tenth."""
    if len(rows) < 10:
        raise InputError(f"only {len(rows)} sentences in the dev split: split_dev needs at least 10")
    parts: dict[str, list[Row]] = {"train": [], "validation": []}
    for i, row in enumerate(rows):
        parts["validation" if i % 10 == 9 else "train"].append(row)
    return parts


def split_in_three(rows: list[Row]) -> dict[str, list[Row]]:
    """Every tenth sentence for test, the one before it for validation, the others for train."""
    if len(rows) < 10:
        raise InputError(f"only {len(rows)} sentences: a single file is split in three and needs at least 10")
    parts: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for i, row in enumerate(rows):
        parts[{8: "validation", 9: "test"}.get(i % 10, "train")].append(row)
    return parts
