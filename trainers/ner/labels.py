"""The tags of a set of entity classes, and those that data and models have."""

from collections.abc import Iterable, Sequence
from typing import Any

from datasets import ClassLabel, Dataset, Features, List

from ..errors import InputError
from .iob2 import CLASSES, LABELS


def tag_names(classes: Iterable[str]) -> tuple[str, ...]:
    """O, and B- and I- of each class; the classes of Universal NER in its order, others sorted."""
    known = set(classes)
    if known <= set(CLASSES):
        return LABELS
    return ("O", *(f"{prefix}-{label}" for label in sorted(known) for prefix in "BI"))


def classes_of(tags: Sequence[str]) -> list[str]:
    """The classes of a set of tags."""
    return [tag.removeprefix("B-") for tag in tags if tag.startswith("B-")]


def tags_of(rows: Dataset) -> tuple[str, ...]:
    """The names of the tags that rows can have."""
    return tuple(rows.features["ner_tags"].feature.names)


def with_tags(rows: Dataset, tags: Sequence[str], name: str) -> Dataset:
    """The rows with tags numbered as in `tags`; InputError if they have a class that is not among these."""
    own = tags_of(rows)
    if own == tuple(tags):
        return rows
    if more := [label for label in classes_of(own) if f"B-{label}" not in tags]:
        raise InputError(
            f"{name} has the classes {', '.join(classes_of(own))}, but training has {', '.join(classes_of(tags))}: "
            f"map {', '.join(more)} with --label_map FROM=TO, where TO may be O"
        )
    number = [list(tags).index(tag) for tag in own]
    columns = {column: rows[column] for column in rows.column_names}
    columns["ner_tags"] = [[number[tag] for tag in row] for row in columns["ner_tags"]]
    features = Features({**rows.features, "ner_tags": List(ClassLabel(names=list(tags)))})
    return Dataset.from_dict(columns, features=features)


def tags_of_model(model: Any) -> tuple[str, ...]:
    """The names of the classes of a token classifier; InputError if they are no IOB2 tags."""
    tags = tuple(model.config.id2label[i] for i in sorted(model.config.id2label))
    if len(tags) == 1 or tags != ("O", *(f"{prefix}-{label}" for label in classes_of(tags) for prefix in "BI")):
        raise InputError(
            f"the model knows the labels {', '.join(tags)}, which are no IOB2 tags: choose a model fine-tuned for "
            "NER, or to fine-tune this one load it with **label_names()"
        )
    return tags


def label_names(tags: Sequence[str] = LABELS) -> dict[str, dict]:
    """`id2label` and `label2id` for the configuration of a model."""
    return {"id2label": dict(enumerate(tags)), "label2id": {label: i for i, label in enumerate(tags)}}


def check_same(own: Sequence[str], tags: Sequence[str], name: str) -> None:
    """Raise InputError unless the tags of `name` are those that a model is trained on, in the same order."""
    if tuple(own) != tuple(tags):
        raise InputError(f"{name} has the tags {', '.join(tags)}, but training has {', '.join(own)}: make them equal")
