"""Baselines without a model, which a result has to beat to mean anything."""

from collections import Counter

from datasets import DatasetDict

from ..alignment import gold_tags
from ..entity_counts import micro_f1, sentence_counts
from ..iob2 import Entity, to_entities, to_iob2


def baseline_scores(treebank: DatasetDict) -> dict[str, float]:
    """Test micro-F1 of the train split's majority tag and of its gazetteer; empty if either split is missing."""
    if not {"train", "test"} <= set(treebank):
        return {}
    train, test = treebank["train"], treebank["test"]
    gold, tokens = gold_tags(test), test["tokens"]
    majority = majority_class(gold_tags(train))
    names = gazetteer(train["tokens"], gold_tags(train))
    predictions = {
        "majority": [[majority] * len(row) for row in gold],
        "gazetteer": [to_iob2(find_names(row, names), len(row)) for row in tokens],
    }
    return {name: float(micro_f1(sentence_counts(gold, tags).sum(0))) for name, tags in predictions.items()}


def majority_class(tags: list[list[str]]) -> str:
    """The most frequent tag."""
    return Counter(tag for row in tags for tag in row).most_common(1)[0][0]


def gazetteer(tokens: list[list[str]], tags: list[list[str]]) -> dict[tuple[str, ...], str]:
    """Entities of labelled sentences with their most frequent class, without strings that are mostly no entity."""
    classes: dict[tuple[str, ...], Counter] = {}
    for row, row_tags in zip(tokens, tags, strict=True):
        for start, end, label in to_entities(row_tags):
            classes.setdefault(tuple(row[start:end]), Counter())[label] += 1
    lengths = set(map(len, classes))
    strings = (tuple(row[i : i + n]) for row in tokens for n in lengths for i in range(len(row) - n + 1))
    occurrences = Counter(string for string in strings if string in classes)
    named = {name: counts for name, counts in classes.items() if 2 * counts.total() >= occurrences[name]}
    return {name: counts.most_common(1)[0][0] for name, counts in named.items()}


def find_names(tokens: list[str], names: dict[tuple[str, ...], str]) -> list[Entity]:
    """Entities of a sentence that are in the gazetteer, from left to right, the longest first."""
    longest = max(map(len, names), default=0)
    entities = []
    start = 0
    while start < len(tokens):
        for end in range(min(start + longest, len(tokens)), start, -1):
            if (name := tuple(tokens[start:end])) in names:
                entities.append(Entity(start, end, names[name]))
                start = end
                break
        else:
            start += 1
    return entities
