import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.trainers.ner import LABELS, entity_scores
from pico_maml.trainers.ner.alignment import align, gold_tags, to_tags, truncated_words

words = st.text(alphabet=st.sampled_from("abcdij.,é中文ا́ 🙂"), min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and word != ""
)
sentences = st.lists(st.tuples(words, st.integers(0, len(LABELS) - 1)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(sentences, min_size=1, max_size=4), max_length=st.integers(4, 60))
def test_each_word_carries_its_label_once_and_comes_back(tokenizer, rows, max_length):
    columns = {
        "tokens": [[word for word, _ in row] for row in rows],
        "ner_tags": [[tag for _, tag in row] for row in rows],
    }
    aligned = align(columns, tokenizer, max_length)
    for i, row in enumerate(rows):
        labels, labelled = aligned["labels"][i], aligned["labelled_words"][i]
        assert len(labels) == len(aligned["input_ids"][i]) <= max_length
        assert [label for label in labels if label != -100] == [row[word][1] for word in labelled]
        assert labelled == list(range(len(labelled))), "words are lost at the end only"
        whole = tokenizer.decode(aligned["input_ids"][i])
        if len(labelled) == len(row) and len(labels) < max_length:
            assert whole == "".join(" " + word for word, _ in row), "words are read as in running text"
    # Predictions that repeat the labels give the tags back; cut-off words are O.
    width = max(map(len, aligned["labels"]))
    labels = np.array([row + [-100] * (width - len(row)) for row in aligned["labels"]])
    tags = to_tags(np.where(labels == -100, 3, labels), labels, {**aligned, **columns})
    for row, sentence, labelled in zip(gold_tags(columns), tags, aligned["labelled_words"], strict=True):
        assert sentence == [tag if i in labelled else "O" for i, tag in enumerate(row)]
    lost = sum(len(row) for row in rows) - sum(map(len, aligned["labelled_words"]))
    assert truncated_words({**aligned, **columns}) == lost


def test_scores_count_whole_entities():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "O"]]
    scores = entity_scores(gold, predicted)
    assert (scores["precision"], scores["recall"], scores["support"]) == (0.5, pytest.approx(1 / 3), 3)
    assert scores["f1"] == pytest.approx(0.4)
    assert scores["classes"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert scores["classes"]["LOC"]["f1"] == 0.0


def test_strict_scores_want_an_entity_to_start_with_b():
    scores = entity_scores([["B-PER", "O"]], [["I-PER", "O"]])
    assert scores["f1"] == 1.0
    assert scores["strict_f1"] == 0.0


def test_no_entity_at_all_scores_zero():
    scores = entity_scores([["O", "O"]], [["O", "O"]])
    assert (scores["f1"], scores["strict_f1"], scores["support"]) == (0.0, 0.0, 0)
