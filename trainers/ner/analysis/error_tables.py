"""The error analysis of a sweep's runs, as tables."""

from typing import Any

import pandas as pd

from ..alignment import gold_tags
from ..iob2 import Entity, to_entities
from ..treebank import load_treebank
from .error_analysis import LENGTHS, Errors, analyse, surface
from .tables import RUN


def error_tables(results: list[dict[str, Any]], uner_dir: str | None) -> dict[str, pd.DataFrame]:
    """The tables `errors` (a row a run and test set), `confusions` (a row a pair of classes) and `longest_entities`.

    Raises:
        InputError: a missing treebank.
    """
    rows, confusions, longest = [], [], []
    for result in results:
        train = load_treebank(result["train_on"], uner_dir)["train"]
        known = names_of(train)
        for test, entities in result["entities"].items():
            data = load_treebank(test, uner_dir)["test"]
            gold = [to_entities(tags) for tags in gold_tags(data)]
            predicted: list[list[Entity]] = [[] for _ in gold]
            for sentence, start, end, label in entities:
                predicted[sentence].append(Entity(start, end, label))
            errors = analyse(data[:]["tokens"], gold, predicted, known)
            run = {**{name: result[name] for name in RUN}, "test": test}
            rows.append({**run, **recalls(errors)})
            for kind, counts in (("confusions", errors.confusions), ("wrong_ends", errors.wrong_ends)):
                confusions += [
                    {**run, "kind": kind, "gold": pair[0], "predicted": pair[1], "count": count}
                    for pair, count in sorted(counts.items())
                ]
            longest += [{**run, "entity": text, "class": label, "found": hit} for text, label, hit in errors.longest]
    return {
        "errors": pd.DataFrame(rows).set_index(RUN),
        "confusions": pd.DataFrame(confusions).set_index(RUN),
        "longest_entities": pd.DataFrame(longest).set_index(RUN),
    }


def names_of(rows: Any) -> set[str]:
    """The words of every entity of a split."""
    return {
        surface(tokens, entity)
        for tokens, tags in zip(rows[:]["tokens"], gold_tags(rows), strict=True)
        for entity in to_entities(tags)
    }


def recalls(errors: Errors) -> dict[str, float]:
    """Recall and number of entities, by length and by whether they occur in training."""
    lengths = {
        f"{length} words{' or more' if length == LENGTHS[-1] else ''}": pair
        for length, pair in errors.by_length.items()
    }
    columns: dict[str, float] = {}
    for name, (found, total) in {"seen in training": errors.seen, "unseen": errors.unseen, **lengths}.items():
        columns |= {f"recall, {name}": found / total if total else float("nan"), f"entities, {name}": total}
    return columns
