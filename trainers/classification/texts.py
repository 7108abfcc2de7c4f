"""Labelled texts as a `DatasetDict`, from files, a folder of `datasets`, or the Hub."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from ..errors import InputError
from ..tuning.splits import files_by_split, is_saved, load_splits
from .text_files import SUFFIXES, LabelledText, labelled, read_file

logger = logging.getLogger(__name__)
# Rows and labels that an error names.
NAMED = 5


@dataclass(frozen=True)
class TextFormat:
    """Where a text and its label are, and the configuration of a data set of the Hub."""

    text_column: str = "text"
    label_column: str = "label"
    dataset_config: str | None = None

    def __post_init__(self) -> None:
        if self.text_column == self.label_column:
            raise InputError(f"text_column and label_column are both {self.text_column!r}: name two columns")


def load_texts(name: str, form: TextFormat = TextFormat()) -> DatasetDict:
    """Load labelled texts.

    Args:
        name: a file (see `text_files`), of which each class is split into 80 % train, 10 % validation and 10 % test; a
            folder of such files whose names end with train, dev and test; a folder of `datasets`; or the Hub name
            user/name of a data set.
        form: the columns.

    Returns:
        The splits that exist among train, validation and test, with the columns `text` and `label`. The classes are
        those of train, in the order of a ClassLabel or else sorted. A test split without any label is left out.

    Raises:
        InputError: nothing has that name, a file cannot be read, there is no train split, a row has no text or no
            label, there is a single class, or a split has labels that train lacks.
    """
    splits, order = _read(name, form)
    if "test" in splits and all(row.label is None for row in splits["test"]):
        logger.warning("%s: its test split has no labels and is left out", name)
        del splits["test"]
    if "train" not in splits:
        raise InputError(
            f"{name} has no train split, only {', '.join(splits) or 'others'}: name a file or split train"
        )
    _check_rows(splits)
    classes = _classes(splits, order, name)
    features = Features({"text": Value("string"), "label": ClassLabel(names=classes)})
    number = {label: i for i, label in enumerate(classes)}
    columns = {
        split: {"text": [row.text for row in rows], "label": [number[str(row.label)] for row in rows]}
        for split, rows in splits.items()
    }
    return DatasetDict({split: Dataset.from_dict(column, features=features) for split, column in columns.items()})


def classes_of(rows: Dataset) -> list[str]:
    """The names of the classes of labelled texts."""
    return list(rows.features["label"].names)


def describe(splits: DatasetDict) -> dict[str, dict[str, Any]]:
    """Of each split: texts, how many of each class, and how many of its texts are in train too."""
    train = set(splits["train"]["text"])
    described = {}
    for split, rows in splits.items():
        labels = list(rows["label"])
        counts = {name: labels.count(i) for i, name in enumerate(classes_of(rows))}
        described[split] = {"texts": len(rows), "classes": counts}
        if split != "train":
            described[split]["also_in_train"] = sum(text in train for text in rows["text"])
    return described


def _read(name: str, form: TextFormat) -> tuple[dict[str, list[LabelledText]], list[str] | None]:
    """The rows of each split, and the classes in the order of a ClassLabel, if there is one."""
    path = Path(name)
    columns = form.text_column, form.label_column
    if path.is_file():
        return split_by_class(read_file(path, *columns), name), None
    if path.is_dir() and not is_saved(path):
        files = files_by_split(path, SUFFIXES, "train.jsonl or reviews-dev.csv")
        return {
            split: [row for file in own for row in read_file(file, *columns)] for split, own in files.items()
        }, None
    if not path.is_dir() and (name.count("/") != 1 or name.startswith((".", "/"))):
        raise InputError(f"no file or folder {name!r}: check the path, or give user/name of a data set on the Hub")
    splits = load_splits(name, form.dataset_config)
    order = None
    for rows in splits.values():
        feature = rows.features.get(form.label_column)
        order = feature.names if isinstance(feature, ClassLabel) else order
    return {split: _rows(rows, form, f"{name}, {split}") for split, rows in splits.items()}, order


def split_by_class(rows: list[LabelledText], name: str) -> dict[str, list[LabelledText]]:
    """Of each class every tenth text for test, the one before it for validation, the others for train."""
    parts: dict[str, list[LabelledText]] = {"train": [], "validation": [], "test": []}
    seen: Counter[str | None] = Counter()
    for row in rows:
        parts[{8: "validation", 9: "test"}.get(seen[row.label] % 10, "train")].append(row)
        seen[row.label] += 1
    if not parts["test"]:
        raise InputError(
            f"{name}: no label has 10 texts, as a file that is split in three needs: give a folder of files"
        )
    return parts


def _rows(rows: Dataset, form: TextFormat, where: str) -> list[LabelledText]:
    """The rows of a data set; numbers of a ClassLabel become its names, -1 and None are no label."""
    wanted = [column for column in (form.text_column, form.label_column) if column in rows.column_names]
    feature = rows.features.get(form.label_column)
    names = feature.names if isinstance(feature, ClassLabel) else None
    if len(set(wanted)) < 2:
        labelled(dict.fromkeys(rows.column_names), form.text_column, form.label_column, where)
    found = []
    for number, (text, label) in enumerate(zip(rows[form.text_column], rows[form.label_column], strict=True), 1):
        if names is not None:
            label = None if label is None or label < 0 else names[label]
        row = {form.text_column: text, form.label_column: label}
        found.append(labelled(row, form.text_column, form.label_column, f"{where}, row {number}"))
    return found


def _check_rows(splits: dict[str, list[LabelledText]]) -> None:
    """Raise InputError if a split has rows without a text or without a label, with the first of them."""
    for rows in splits.values():
        for what, bad in (
            ("text", [row.where for row in rows if not row.text.strip()]),
            ("label", [row.where for row in rows if row.label is None]),
        ):
            if bad:
                more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
                raise InputError(
                    f"{len(bad)} of {len(rows)} rows have no {what} ({'; '.join(bad[:NAMED])}{more}): add it, or "
                    "delete these rows"
                )


def _classes(splits: dict[str, list[LabelledText]], order: list[str] | None, name: str) -> list[str]:
    """The classes of train; numbers are sorted as numbers."""
    found = {str(row.label) for row in splits["train"]}
    if len(found) < 2:
        raise InputError(
            f"{name}: train has no label but {', '.join(found) or 'none'}: a classifier needs texts of two classes"
        )
    for split, rows in splits.items():
        if unknown := sorted({str(row.label) for row in rows} - found):
            more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
            raise InputError(
                f"{name}: {split} has labels that train lacks, {', '.join(unknown[:NAMED])}{more}: add such texts to "
                "train, or delete these rows"
            )
    if order is not None:
        return [label for label in order if label in found]
    return sorted(found, key=int) if all(label.isdecimal() for label in found) else sorted(found)
