"""Data sets of `datasets` with words and tags: a folder of `save_to_disk`, or one of the Hub."""

from datasets import ClassLabel, Dataset

from ...errors import InputError
from ...tuning.splits import load_splits
from ..iob2 import Sentence
from .data_format import DataFormat
from .tag_schemes import to_iob2_tags

TOKENS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "labels")


def read_dataset(name: str, form: DataFormat) -> dict[str, list[Sentence]]:
    """The sentences of each split; tags are strings, or numbers with the names of a ClassLabel.

    Raises:
        InputError: the data set cannot be loaded, or has no such columns.
    """
    return {split: _sentences(rows, form, f"{name}, {split}") for split, rows in load_splits(name).items()}


def _sentences(rows: Dataset, form: DataFormat, where: str) -> list[Sentence]:
    columns = [next((name for name in names if name in rows.column_names), None) for names in (TOKENS, TAGS)]
    if None in columns:
        raise InputError(
            f"{where} has the columns {', '.join(rows.column_names)}: rename two to {TOKENS[0]} and {TAGS[0]}"
        )
    tokens_column, tags_column = map(str, columns)
    feature = rows.features[tags_column].feature
    names = feature.names if isinstance(feature, ClassLabel) else None
    if names is None and feature.dtype != "string":
        raise InputError(f"{where}: {tags_column} holds {feature.dtype} without names: cast it to a ClassLabel")
    sentences = []
    for number, (tokens, tags) in enumerate(zip(rows[tokens_column], rows[tags_column], strict=True), 1):
        if len(tokens) != len(tags):
            raise InputError(f"{where}, row {number}: {len(tokens)} tokens, {len(tags)} tags")
        if tokens:
            spelled = list(tags) if names is None else [names[tag] for tag in tags]
            sentences.append(Sentence(list(tokens), to_iob2_tags(spelled, form.tag_scheme, f"{where}, row {number}")))
    return sentences
