import numpy as np

from pico_maml.trainers.ner import Entity
from pico_maml.trainers.ner.analysis.error_analysis import entity_table, recalls, sentence_errors

WORDS = ["Ann", "of", "New", "York", "City", "met", "Bo", "Li", "at", "the", "Old", "Town"]
GOLD = (WORDS, [Entity(0, 1, "PER"), Entity(2, 5, "LOC"), Entity(6, 8, "PER"), Entity(10, 12, "LOC")])
PREDICTED = [Entity(0, 1, "PER"), Entity(2, 4, "ORG"), Entity(8, 9, "ORG"), Entity(10, 12, "ORG")]


def test_entities_are_counted_as_confused_missed_invented_or_with_wrong_ends():
    assert sentence_errors(GOLD, PREDICTED) == {
        ("confusions", "PER", "PER"): 1,
        ("confusions", "PER", "-"): 1,
        ("confusions", "LOC", "ORG"): 1,
        ("confusions", "-", "ORG"): 1,
        ("wrong_ends", "LOC", "ORG"): 1,
    }


def test_recall_by_length_and_by_whether_training_showed_the_entity():
    table = entity_table([GOLD], [PREDICTED], {"Ann", "Bo Li"})
    columns = recalls(table)
    names = ["1 words", "2 words", "3 words", "4 words or more", "seen in training", "unseen"]
    assert [columns[f"entities, {name}"] for name in names] == [1, 2, 1, 0, 2, 2]
    np.testing.assert_equal([columns[f"recall, {name}"] for name in names], [1, 0, 0, np.nan, 0.5, 0])
    longest = table.nlargest(9, "length")[["entity", "class", "found"]]
    assert longest.iloc[0].tolist() == ["New York City", "LOC", False]
    assert len(longest) == 4


def test_prediction_over_two_entities_counts_for_both():
    errors = sentence_errors((["a", "b"], [Entity(0, 1, "PER"), Entity(1, 2, "LOC")]), [Entity(0, 2, "PER")])
    assert errors == {("wrong_ends", "PER", "PER"): 1, ("wrong_ends", "LOC", "PER"): 1}


def test_last_length_includes_longer_entities():
    entity = Entity(0, 9, "ORG")
    assert recalls(entity_table([(["w"] * 9, [entity])], [[entity]], set()))["recall, 4 words or more"] == 1


def test_a_test_set_without_entities_has_no_recall():
    columns = recalls(entity_table([(["w"], [])], [[]], set()))
    assert columns["entities, unseen"] == 0
    assert np.isnan(columns["recall, unseen"])
