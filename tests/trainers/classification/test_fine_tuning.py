"""Fine-tuning of a classifier of texts, and what it is read by."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from pico_maml import PicoForSequenceClassification
from pico_maml.trainers import InputError
from pico_maml.trainers.classification import ClassificationConfig, fine_tune
from pico_maml.trainers.classification.features import encode
from pico_maml.trainers.classification.few_shot import draw_texts
from pico_maml.trainers.classification.fine_tuning import prepare
from pico_maml.trainers.classification.scores import ClassScores
from pico_maml.trainers.ner import label_names

NAMES = ["good", "bad"]


@pytest.fixture
def splits() -> DatasetDict:
    features = Features({"text": Value("string"), "label": ClassLabel(names=NAMES)})
    rows = {"text": [f"{'ab ' * (i % 5)}{('cd', 'ef')[i % 2]} gh" for i in range(24)], "label": [0, 1] * 12}
    return DatasetDict(dict.fromkeys(("train", "validation", "test"), Dataset.from_dict(rows, features=features)))


@pytest.fixture(params=[("last", "last"), ("all", "mean")])
def classifier(request, config):
    config.classifier_features, config.classifier_pooling = request.param
    for name, value in label_names(NAMES).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return PicoForSequenceClassification(config)


def arguments(classifier, tmp_path, **options) -> ClassificationConfig:
    config = classifier.config
    read = {"features": config.classifier_features, "pooling": config.classifier_pooling}
    usual = {"use_cpu": True, "disable_tqdm": True, "learning_rate": 1e-2, "num_train_epochs": 2}
    return ClassificationConfig(output_dir=str(tmp_path), **{**read, **usual, **options})


def test_cached_features_train_the_same_head_as_the_whole_model(classifier, tokenizer, splits, tmp_path):
    tuned = []
    for cached in (True, False):
        torch.manual_seed(0)
        model = deepcopy(classifier)
        args = arguments(
            model, tmp_path / str(cached), mode="head", cache_features=cached, gradient_accumulation_steps=2
        )
        fine_tune(model, tokenizer, splits, args)
        tuned.append(model)
    torch.testing.assert_close(tuned[0].score.weight, tuned[1].score.weight, atol=1e-5, rtol=1e-4)
    assert not torch.equal(tuned[0].score.weight, classifier.score.weight)
    assert torch.equal(tuned[1].pico_decoder.embedding_proj.weight, classifier.pico_decoder.embedding_proj.weight)


def test_features_are_what_the_model_reads(classifier, tokenizer, splits, tmp_path):
    rows = prepare(splits["test"], classifier, tokenizer, arguments(classifier, tmp_path))
    classifier.eval()
    logits = [classifier(torch.tensor([ids])).logits[0] for ids in rows["input_ids"]]
    torch.testing.assert_close(classifier.score(encode(classifier, rows)), torch.stack(logits), atol=1e-5, rtol=1e-4)


def test_other_classes_and_another_pooling_are_errors(classifier, tokenizer, splits, tmp_path):
    args = arguments(
        classifier, tmp_path, pooling="mean" if classifier.config.classifier_pooling == "last" else "last"
    )
    with pytest.raises(InputError, match="need a model loaded with classifier_pooling="):
        fine_tune(classifier, tokenizer, splits, args)
    classifier.config.id2label = {0: "bad", 1: "good"}
    with pytest.raises(InputError, match="train has the classes good, bad, the model bad, good"):
        fine_tune(classifier, tokenizer, splits, arguments(classifier, tmp_path))
    classifier.config.id2label = dict(enumerate(NAMES))
    without = DatasetDict({name: rows for name, rows in splits.items() if name != "validation"})
    with pytest.raises(InputError, match="lbfgs chooses its penalty on a validation split"):
        fine_tune(classifier, tokenizer, without, arguments(classifier, tmp_path, mode="head", head_solver="lbfgs"))


def test_a_draw_has_k_texts_of_each_class_and_a_larger_k_has_those_of_a_smaller():
    labels = np.random.default_rng(0).integers(0, 3, 60).tolist()
    names = ["a", "b", "c"]
    few, more = (draw_texts(labels, names, shots, 4) for shots in (2, 5))
    assert [[labels[i] for i in few].count(label) for label in range(3)] == [2, 2, 2]
    assert [[labels[i] for i in more].count(label) for label in range(3)] == [5, 5, 5]
    assert set(few) < set(more)
    assert few == draw_texts(labels, names, 2, 4) != draw_texts(labels, names, 2, 5)


def test_scores_of_names_that_a_report_of_scikit_learn_uses_itself():
    scores = ClassScores().compute(predictions=["accuracy", "bad", "bad"], references=["accuracy", "accuracy", "bad"])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["matthews"] == pytest.approx(0.5)
    assert scores["classes"]["accuracy"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
