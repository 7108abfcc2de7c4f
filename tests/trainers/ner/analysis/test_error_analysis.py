from pico_maml.trainers.ner import Entity
from pico_maml.trainers.ner.analysis.error_analysis import analyse


def test_entities_are_counted_as_confused_missed_invented_or_with_wrong_ends():
    tokens = [["Ann", "of", "New", "York", "City", "met", "Bo", "Li", "at", "the", "Old", "Town"]]
    gold = [[Entity(0, 1, "PER"), Entity(2, 5, "LOC"), Entity(6, 8, "PER"), Entity(10, 12, "LOC")]]
    predicted = [[Entity(0, 1, "PER"), Entity(2, 4, "ORG"), Entity(8, 9, "ORG"), Entity(10, 12, "ORG")]]
    errors = analyse(tokens, gold, predicted, {"Ann", "Bo Li"})
    assert errors.confusions == {("PER", "PER"): 1, ("PER", "-"): 1, ("LOC", "ORG"): 1, ("-", "ORG"): 1}
    assert errors.wrong_ends == {("LOC", "ORG"): 1}
    assert errors.by_length == {1: (1, 1), 2: (0, 2), 3: (0, 1), 4: (0, 0)}
    assert (errors.seen, errors.unseen) == ((1, 2), (0, 2))
    assert errors.longest[0] == ("New York City", "LOC", False)
    assert len(errors.longest) == 4


def test_prediction_over_two_entities_counts_for_both():
    errors = analyse([["a", "b"]], [[Entity(0, 1, "PER"), Entity(1, 2, "LOC")]], [[Entity(0, 2, "PER")]], set())
    assert errors.wrong_ends == {("PER", "PER"): 1, ("LOC", "PER"): 1}
    assert errors.confusions == {}


def test_last_length_includes_longer_entities():
    errors = analyse([["w"] * 9], [[Entity(0, 9, "ORG")]], [[Entity(0, 9, "ORG")]], set())
    assert errors.by_length[4] == (1, 1)
