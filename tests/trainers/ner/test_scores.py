import subprocess
import sys

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from pico_maml.trainers.ner import LABELS
from pico_maml.trainers.ner.entity_counts import micro_f1, sentence_counts
from pico_maml.trainers.ner.scores import EntityScores

GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
PREDICTED = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "O"]]

tag = st.sampled_from(LABELS)
tagged_twice = st.lists(st.lists(st.tuples(tag, tag), min_size=1, max_size=8), min_size=1, max_size=4)


def scores(gold, predicted) -> dict:
    return EntityScores().compute(references=gold, predictions=predicted)


def test_whole_entities_are_scored_in_all_and_by_class():
    result = scores(GOLD, PREDICTED)
    assert (result["precision"], result["recall"], result["support"]) == (0.5, pytest.approx(1 / 3), 3)
    assert result["f1"] == result["strict_f1"] == pytest.approx(0.4)
    assert result["classes"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert result["classes"]["LOC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert set(result["classes"]) == {"PER", "LOC", "ORG"}


def test_strict_f1_needs_an_entity_to_start_with_b():
    result = scores([["B-PER", "O"]], [["I-PER", "O"]])
    assert (result["f1"], result["strict_f1"]) == (1.0, 0.0)


def test_without_entities_all_scores_are_zero():
    result = scores([["O", "O"]], [["O", "O"]])
    assert result == dict.fromkeys(("precision", "recall", "f1", "strict_f1"), 0.0) | {"support": 0, "classes": {}}


@settings(max_examples=50, deadline=None)
@given(tagged_twice)
def test_scores_are_those_of_seqeval_and_counts_give_the_same_f1(rows):
    gold, predicted = [[g for g, _ in row] for row in rows], [[p for _, p in row] for row in rows]
    result = scores(gold, predicted)
    assert result["precision"] == pytest.approx(precision_score(gold, predicted, zero_division=0))
    assert result["recall"] == pytest.approx(recall_score(gold, predicted, zero_division=0))
    assert result["f1"] == pytest.approx(f1_score(gold, predicted, zero_division=0))
    assert result["strict_f1"] == pytest.approx(f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0))
    counts = sentence_counts(gold, predicted)
    assert counts.shape == (len(rows), 3)
    assert result["support"] == counts[:, 2].sum()
    assert result["f1"] == pytest.approx(micro_f1(counts.sum(0)))


def test_batches_add_up_and_the_next_computation_starts_anew():
    metric = EntityScores()
    for _ in range(2):
        for gold, predicted in zip(GOLD, PREDICTED, strict=True):
            metric.add_batch(references=[gold], predictions=[predicted])
        assert metric.compute() == scores(GOLD, PREDICTED)


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (PREDICTED[:1], r"Mismatch in the number of predictions \(1\) and references \(2\)"),
        ([["O"], ["O", "O"]], "inconsistent numbers of samples"),
        ([[1, 2, 0, 5], [3, 0]], "don't match the expected format"),
    ],
)
def test_tags_of_other_sentences_or_numbers_are_an_error(predicted, message):
    with pytest.raises(ValueError, match=message):
        scores(GOLD, predicted)


def test_in_memory_nothing_is_written_and_the_cache_may_be_read_only(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "file" / "no folder can be made here")
    assert scores(GOLD, PREDICTED)["support"] == 3
    with pytest.raises(OSError, match="no folder can be made here"):
        EntityScores(keep_in_memory=False)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "cache")
    on_disk = EntityScores(keep_in_memory=False)
    on_disk.add_batch(references=GOLD, predictions=PREDICTED)
    assert list((tmp_path / "cache").rglob("*.arrow"))
    assert on_disk.compute() == scores(GOLD, PREDICTED)


def test_random_numbers_are_the_same_with_and_without_scoring():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    scores(GOLD, PREDICTED)
    assert np.random.random() == expected


def test_importing_the_package_does_not_load_what_only_scoring_needs():
    code = "import sys, pico_maml.trainers.ner; print({'evaluate', 'seqeval', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
