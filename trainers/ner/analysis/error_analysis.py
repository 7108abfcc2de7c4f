"""Errors of a sweep's runs, as tables: confusions of classes, wrong ends, and recall by length and novelty."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ..alignment import gold_tags
from ..iob2 import Entity, to_entities
from ..sources.data_format import DataFormat
from ..treebank import load_treebank
from .tables import RUN

# Recall is given for entities of so many words; the last number includes longer ones.
LENGTHS = (1, 2, 3, 4)
NOTHING = "-"
LONGEST_SHOWN = 10
# Words and entities of a sentence.
Sentence = tuple[Sequence[str], Sequence[Entity]]


def error_tables(results: list[dict[str, Any]], uner_dir: str | None) -> dict[str, pd.DataFrame]:
    """The tables `errors` (a row a run and test set), `confusions` (a row a pair of classes) and `longest_entities`.

    Raises:
        InputError: a missing treebank.
    """
    rows: dict[str, list[dict[str, Any]]] = {"errors": [], "confusions": [], "longest_entities": []}
    for result in results:
        # Results of earlier versions do not say how their data was read.
        split_dev, form = result.get("split_dev", False), DataFormat(**result.get("data_format", {}))
        train = sentences(load_treebank(result["train_on"], uner_dir, split_dev, form)["train"])
        known = {surface(words, entity) for words, entities in train for entity in entities}
        for test, entities in result["entities"].items():
            gold = sentences(load_treebank(test, uner_dir, form=form)["test"])
            predicted: list[list[Entity]] = [[] for _ in gold]
            for sentence, *entity in entities:
                predicted[sentence].append(Entity(*entity))
            run = {**{name: result[name] for name in RUN}, "test": test}
            table = entity_table(gold, predicted, known)
            rows["errors"].append(run | recalls(table))
            longest = table.nlargest(LONGEST_SHOWN, "length")[["entity", "class", "found"]]
            rows["longest_entities"] += [run | row for row in longest.to_dict("records")]
            errors = sum((sentence_errors(*pair) for pair in zip(gold, predicted, strict=True)), Counter())
            rows["confusions"] += [
                {**run, "kind": kind, "gold": label, "predicted": other, "count": count}
                for (kind, label, other), count in sorted(errors.items())
            ]
    return {name: pd.DataFrame(part).set_index(RUN) for name, part in rows.items()}


def sentences(rows: Any) -> list[Sentence]:
    """The words and gold entities of each sentence of a split."""
    return [(words, to_entities(tags)) for words, tags in zip(rows[:]["tokens"], gold_tags(rows), strict=True)]


def surface(words: Sequence[str], entity: Entity) -> str:
    """The words of an entity."""
    return " ".join(words[entity.start : entity.end])


def entity_table(gold: Iterable[Sentence], predicted: Iterable[Sequence[Entity]], known: set[str]) -> pd.DataFrame:
    """A row a gold entity: its words, length and class, and whether it was found and is among the `known` ones."""
    rows = [
        (surface(words, entity), entity.end - entity.start, entity.label, entity in guesses)
        for (words, entities), guesses in zip(gold, predicted, strict=True)
        for entity in entities
    ]
    table = pd.DataFrame(rows, columns=["entity", "length", "class", "found"])
    return table.assign(known=table["entity"].isin(known)).astype({"length": int, "found": bool})


def recalls(entities: pd.DataFrame) -> dict[str, float]:
    """Recall and number of entities, by whether they occur in training and by length; see `entity_table`."""
    chosen = {"seen in training": entities["known"], "unseen": ~entities["known"]}
    for length in LENGTHS:
        name = f"{length} words{' or more' if length == LENGTHS[-1] else ''}"
        chosen[name] = entities["length"].clip(upper=LENGTHS[-1]) == length
    columns: dict[str, float] = {}
    for name, mask in chosen.items():
        columns |= {f"recall, {name}": entities["found"][mask].mean(), f"entities, {name}": mask.sum()}
    return columns


def sentence_errors(gold: Sentence, predicted: Sequence[Entity]) -> Counter[tuple[str, str, str]]:
    """Number of entities of a sentence by (kind, gold class, predicted class).

    `confusions` have both ends right; (PER, -) are missed, (-, PER) are invented. `wrong_ends` overlap a gold entity
    but end elsewhere, once for each gold entity that they overlap; they count neither as missed nor as invented.
    """
    by_ends = {(entity.start, entity.end): entity for entity in predicted}
    errors: Counter[tuple[str, str, str]] = Counter()
    invented = set(predicted)
    for entity in gold[1]:
        same = by_ends.get((entity.start, entity.end))
        overlaps = [other for other in predicted if other.start < entity.end and entity.start < other.end]
        if same is not None:
            errors["confusions", entity.label, same.label] += 1
            invented.discard(same)
        elif overlaps:
            errors.update(("wrong_ends", entity.label, other.label) for other in overlaps)
            invented.difference_update(overlaps)
        else:
            errors["confusions", entity.label, NOTHING] += 1
    errors.update(("confusions", NOTHING, other.label) for other in invented)
    return errors
