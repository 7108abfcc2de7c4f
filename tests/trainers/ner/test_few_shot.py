from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pico_maml.trainers import InputError
from pico_maml.trainers.ner import NERConfig
from pico_maml.trainers.ner.few_shot import few_shot
from pico_maml.trainers.ner.iob2 import CLASSES, LABELS, to_entities
from pico_maml.trainers.ner.shots import draw_sentences
from pico_maml.trainers.tuning.few_shot import FewShotScore, curve
from pico_maml.trainers.tuning.few_shot_files import load_few_shot, save_few_shot
from pico_maml.trainers.tuning.prototypes import nearest_prototype


def mentions(tags: list[list[str]]) -> Counter:
    return Counter(entity.label for row in tags for entity in to_entities(row))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 50))
def test_every_class_has_its_mentions_and_no_sentence_is_taken_without_need(seed, shots, draw):
    generator = np.random.default_rng(seed)
    tags = [[LABELS[i] for i in generator.choice([0, 0, 1, 3, 5], 5)] for _ in range(40)]
    chosen = draw_sentences(tags, shots, draw)
    assert len(set(chosen)) == len(chosen)
    found = mentions([tags[i] for i in chosen])
    assert all(found[label] >= shots for label in CLASSES)
    without_last = mentions([tags[i] for i in chosen[:-1]])
    assert any(without_last[label] < shots for label in CLASSES)
    assert draw_sentences(tags, shots, draw) == chosen


def test_draws_differ_and_too_few_mentions_are_named():
    tags = [["B-PER", "O"], ["B-ORG"], ["B-LOC", "O"]] * 5
    assert {tuple(draw_sentences(tags, 1, draw)) for draw in range(5)} != {tuple(draw_sentences(tags, 1, 0))}
    with pytest.raises(InputError, match=r"6 shots.*PER 5"):
        draw_sentences(tags, 6, 0)


def test_the_nearest_prototype_is_the_mean_in_whose_direction_a_state_lies():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 20, generator=generator) * 5
    labels = torch.tensor([0, 1, 5]).repeat_interleave(10)
    features = centres.repeat_interleave(10, 0) + torch.randn(30, 20, generator=generator)
    classify = nearest_prototype(features, labels, 7)
    assert classify(centres).argmax(-1).tolist() == [0, 1, 5]


def test_the_curve_is_the_mean_over_draws_with_its_t_interval():
    values = [0.2, 0.3, 0.4]
    (row,) = curve([FewShotScore("linear", 5, draw, 9, "test", f1) for draw, f1 in enumerate(values)])
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (row["f1"], row["low"], row["high"]) == (pytest.approx(0.3), pytest.approx(low), pytest.approx(high))
    assert (row["shots"], row["draws"]) == (5, 3)


def test_more_shots_score_better_and_the_model_stays_as_it_was(classifier, tokenizer, people, tmp_path):
    args = NERConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        disable_tqdm=True,
        num_train_epochs=15,
        learning_rate=1e-2,
        logging_strategy="no",
        labelled_subword="last",
    )
    before = {name: weight.clone() for name, weight in classifier.state_dict().items()}
    test = {"test": people["test"]}
    scores = few_shot(classifier, tokenizer, people, test, args, ["linear", "prototypes", "full"], [1, 8], 2)
    assert len(scores) == 3 * 2 * 2
    assert all(score.counts.shape == (len(people["test"]), 3) for score in scores)
    assert all(torch.equal(weight, before[name]) for name, weight in classifier.state_dict().items())
    found = {(row["method"], row["shots"]): row["f1"] for row in curve(scores)}
    assert found["linear", 8] > 0.8
    assert found["prototypes", 8] > 0.5
    assert found["full", 8] > 0.8
    by_draw = {(score.shots, score.draw): score.sentences for score in scores if score.method == "linear"}
    assert by_draw[8, 0] > by_draw[1, 0]


def test_a_class_that_train_never_mentions_needs_no_shots(classifier, tokenizer, people, tmp_path):
    args = NERConfig(output_dir=str(tmp_path), use_cpu=True, labelled_subword="last")
    without = people["train"].filter(lambda row: 5 not in row["ner_tags"])
    assert LABELS[5] == "B-LOC"
    treebank = DatasetDict(people | {"train": without})
    scores = few_shot(classifier, tokenizer, treebank, {"test": people["test"]}, args, ["linear"], [2], 1)
    assert scores[0].f1 > 0
    with pytest.raises(InputError, match=r"999 shots, .* PER \d+, ORG \d+ times"):
        few_shot(classifier, tokenizer, treebank, {"test": people["test"]}, args, ["linear"], [999], 1)


def test_scores_and_entities_of_each_sentence_are_read_back(tmp_path):
    counts = np.array([[1, 2, 2], [0, 0, 1]])
    scores = [FewShotScore("linear", 5, draw, 9, "test", 0.4, counts + draw) for draw in range(2)]
    results = save_few_shot(tmp_path / "out", {"few_shot_treebank": "sample"}, scores)
    assert results["few_shot_treebank"] == "sample"
    assert [row["shots"] for row in results["curve"]] == [5]
    read = load_few_shot(tmp_path / "out")
    assert [replace(score, counts=None) for score in read] == [replace(score, counts=None) for score in scores]
    assert (read[1].counts == counts + 1).all()
