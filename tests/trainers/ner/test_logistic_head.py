import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForTokenClassification

from pico_maml.trainers import InputError
from pico_maml.trainers.ner import NERConfig, fine_tune, label_names
from pico_maml.trainers.ner.prediction import predict
from pico_maml.trainers.tuning import logistic_head
from pico_maml.trainers.tuning.logistic_head import fit


def data(size: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(size, 6, generator=generator) * torch.tensor([1.0, 10, 0.1, 1, 1, 1]) + 3
    labels = (features @ torch.randn(6, 3, generator=generator) + torch.randn(size, 3, generator=generator)).argmax(-1)
    return features, labels


def test_the_head_is_the_logistic_regression_of_scikit_learn_on_standardised_features():
    features, labels = data()
    head = fit(features, labels, 3, lambda head: 0.0, penalties=(1e-2,))
    standard = (features - features.mean(0)) / features.std(0)
    expected = LogisticRegression(C=1 / (2 * 1e-2 * len(labels)), tol=1e-8, max_iter=1000).fit(standard, labels)
    probabilities = F.linear(features, head.weight, head.bias).softmax(-1)
    torch.testing.assert_close(
        probabilities.double(), torch.tensor(expected.predict_proba(standard)), atol=2e-3, rtol=1e-2
    )


def test_the_penalty_is_the_one_that_scores_best():
    assert fit(*data(), 3, lambda head: -abs(head.penalty - 1e-3)).penalty == 1e-3


def test_a_mixture_finds_the_layer_that_tells_the_classes_apart():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (600,), generator=generator)
    layers = torch.randn(600, 4, 3, generator=generator)
    layers[:, 2] += 2 * F.one_hot(labels, 3)
    head = fit(layers.flatten(1), labels, 3, lambda head: 0.0, layers=4, penalties=(1e-3,))
    norms = head.weight.view(3, 4, 3).pow(2).sum((0, 2)).sqrt()
    assert norms[2] > 4 * norms[[0, 1, 3]].max()


@pytest.mark.parametrize("features", ["last", "all", "mix"])
def test_the_saved_tagger_predicts_what_was_scored(config, tokenizer, treebank, tmp_path, features):
    args = NERConfig(
        output_dir=str(tmp_path), mode="head", features=features, head_solver="lbfgs", use_cpu=True, disable_tqdm=True
    )
    config.max_seq_len = 128
    torch.manual_seed(0)
    for name, value in (label_names() | args.classifier()).items():
        setattr(config, name, value)
    model = AutoModelForTokenClassification.from_config(config)
    tuned = fine_tune(model, tokenizer, treebank, args)
    assert tuned.scores["test"]["f1"] > 0.9
    assert tuned.penalty in logistic_head.PENALTIES
    model.save_pretrained(tmp_path / "tagger")
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "tagger")
    tagged = predict(loaded, tokenizer, treebank["test"]["tokens"][:])
    assert [sentence.tags for sentence in tagged] == tuned.tags["test"]


def test_features_of_all_layers_can_be_trained_by_adamw_too(config, tokenizer, treebank, tmp_path):
    args = NERConfig(
        output_dir=str(tmp_path),
        features="all",
        use_cpu=True,
        disable_tqdm=True,
        num_train_epochs=3,
        learning_rate=1e-2,
    )
    config.max_seq_len = 128
    for name, value in (label_names() | args.classifier()).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    assert (
        fine_tune(AutoModelForTokenClassification.from_config(config), tokenizer, treebank, args).scores["test"]["f1"]
        > 0.9
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"features": "mix"}, "lbfgs"),
        ({"head_solver": "lbfgs", "mode": "head", "cache_features": False}, "cache_features"),
        ({"features": "first"}, "features"),
        ({"head_solver": "newton"}, "head_solver"),
    ],
)
def test_options_that_do_not_fit_together_are_named(tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        NERConfig(output_dir=str(tmp_path), use_cpu=True, **options)


def test_lbfgs_in_mode_full_is_refused(tmp_path):
    with pytest.raises(InputError, match="head_solver lbfgs trains mode head, got mode full"):
        NERConfig(output_dir=str(tmp_path), use_cpu=True, head_solver="lbfgs").check_mode()


def test_a_model_whose_classifier_reads_other_layers_is_refused(classifier, tokenizer, treebank, tmp_path):
    args = NERConfig(output_dir=str(tmp_path), features="all", use_cpu=True)
    with pytest.raises(InputError, match="classifier_features"):
        fine_tune(classifier, tokenizer, treebank, args)


@pytest.mark.parametrize("layers", [0, 2])
def test_one_labelled_word_is_enough_to_fit(layers):
    features = torch.tensor([[3.0, -1.0, 0.5, 2.0]])
    head = fit(features, torch.tensor([1]), 3, lambda head: 0.0, layers)
    assert head(features).argmax().item() == 1
    assert head(features).isfinite().all()


def test_a_head_of_a_model_in_bfloat16_trains_on_its_features(classifier, tokenizer, treebank, tmp_path):
    args = NERConfig(tmp_path, mode="head", num_train_epochs=1, use_cpu=True, disable_tqdm=True)
    fine_tune(classifier.to(torch.bfloat16), tokenizer, treebank, args)
    assert classifier.score.weight.isfinite().all()
