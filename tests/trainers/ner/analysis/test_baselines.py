import pytest

from pico_maml.trainers import load_treebank
from pico_maml.trainers.ner.analysis.baselines import baseline_scores, find_names, gazetteer, majority_class


def test_gazetteer_prefers_the_longest_name_and_the_most_frequent_class():
    tokens = [["New", "York"], ["New", "York", "Times"], ["May", "sang"], ["in", "May"], ["may", "or", "May"]]
    tags = [["B-LOC", "I-LOC"], ["B-ORG", "I-ORG", "I-ORG"], ["B-PER", "O"], ["O", "O"], ["O", "O", "O"]]
    names = gazetteer(tokens, tags)
    assert names == {("New", "York"): "LOC", ("New", "York", "Times"): "ORG"}, "May is mostly no name"
    names_in_text = find_names(["The", "New", "York", "Times", "of", "New", "York"], names)
    assert names_in_text == [(1, 4, "ORG"), (5, 7, "LOC")]
    assert find_names(["a"], {}) == []


def test_majority_class_is_the_most_frequent_tag():
    assert majority_class([["O", "O", "B-PER"], ["B-PER", "I-PER", "O"]]) == "O"


def test_baseline_scores_need_train_and_test_splits(tmp_path):
    path = tmp_path / "x.iob2"
    path.write_text("Ann\tB-PER\nsaw\tO\na\tO\nRio\tB-LOC\n\n" * 20)
    assert baseline_scores(load_treebank(str(path))) == {"majority": 0.0, "gazetteer": 1.0}
    treebank = load_treebank(str(path))
    del treebank["train"]
    assert baseline_scores(treebank) == {}


def test_baseline_scores_of_da_ddt(shared):
    scores = baseline_scores(load_treebank("da_ddt", shared / "uner"))
    assert scores == {"majority": 0.0, "gazetteer": pytest.approx(0.372, abs=5e-4)}
