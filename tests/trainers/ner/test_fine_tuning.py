import copy

import forked
import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from ner_run import train, train_both
from safetensors.torch import load_file

from pico_maml import PicoForTokenClassification
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import NERConfig, features, fine_tune
from pico_maml.trainers.ner.features import encode


def arguments(tmp_path, **changes) -> NERConfig:
    options = {"learning_rate": 1e-2, "num_train_epochs": 4, "disable_tqdm": True, "use_cpu": True} | changes
    return NERConfig(output_dir=str(tmp_path / "out"), **options)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_full_fine_tuning_learns_and_scores_every_split(classifier, tokenizer, treebank, tmp_path):
    elsewhere = treebank["test"].select(range(2))
    tuned = fine_tune(classifier, tokenizer, treebank, arguments(tmp_path), {"elsewhere": elsewhere})
    assert tuned.scores["test"]["f1"] == tuned.scores["elsewhere"]["f1"] == 1.0
    assert tuned.scores["validation"]["support"] == 6
    assert tuned.tags["elsewhere"] == tuned.tags["test"][:2]
    assert tuned.truncated_words == {"train": 0, "validation": 0, "test": 0, "elsewhere": 0}
    assert tuned.best_epoch is not None


@pytest.mark.parametrize("cache_features", [True, False])
def test_mode_head_changes_only_the_classifier(classifier, tokenizer, treebank, tmp_path, cache_features):
    before = weights(classifier)
    args = arguments(tmp_path, mode="head", num_train_epochs=1, cache_features=cache_features)
    fine_tune(classifier, tokenizer, treebank, args)
    for name, p in classifier.named_parameters():
        assert torch.equal(p, before[name]) is name.startswith("pico_decoder"), name


def test_cached_features_train_the_same_head(classifier, tokenizer, treebank, tmp_path):
    """Same batches, same dropout, same best epoch, same predictions, in another order of evaluation too."""
    assert classifier.dropout.p > 0
    tokenizer.padding_side = "left"  # as the text-generation pipeline leaves it
    start = {name: p.clone() for name, p in classifier.state_dict().items()}
    ends, tuned = [], []
    for cache in (False, True):
        classifier.load_state_dict(start)
        args = arguments(
            tmp_path / str(cache),
            mode="head",
            cache_features=cache,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            learning_rate=0.3,
            optim="sgd",  # AdamW would make much of the last bit of a gradient near 0
        )
        tuned.append(fine_tune(classifier, tokenizer, treebank, args))
        ends.append(weights(classifier))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-6, rtol=0)
    assert (ends[0]["score.weight"] - start["score.weight"]).abs().max() > 1e-2, "something was trained"
    assert tuned[0].tags == tuned[1].tags
    assert tuned[0] == tuned[1]


def test_features_are_encoded_once_for_all_runs(classifier, tokenizer, treebank, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(features, "encode", lambda *args: calls.append(args) or encode(*args))
    folder = tmp_path / "features"
    for seed in (1, 2):
        args = arguments(tmp_path / str(seed), mode="head", num_train_epochs=2, seed=seed)
        fine_tune(classifier, tokenizer, treebank, args, features_dir=folder)
    assert len(calls) == len(list(folder.iterdir())) == 3
    with torch.no_grad():
        next(classifier.base_model.parameters()).add_(0.1)
    fine_tune(classifier, tokenizer, treebank, arguments(tmp_path / "3", mode="head"), features_dir=folder)
    assert len(calls) == 6, "other weights, other features"


def test_labelling_the_last_subword_learns_and_is_saved_with_the_model(classifier, tokenizer, treebank, tmp_path):
    args = arguments(tmp_path, labelled_subword="last")
    assert fine_tune(classifier, tokenizer, treebank, args).scores["test"]["f1"] == 1.0
    classifier.save_pretrained(tmp_path / "saved")
    assert PicoForTokenClassification.from_pretrained(tmp_path / "saved").config.labelled_subword == "last"


@pytest.mark.parametrize("mode", ["head", "full"])
def test_tag_decoding_iob2_gives_equal_f1_and_strict_f1(classifier, tokenizer, treebank, tmp_path, mode):
    with torch.no_grad():
        classifier.score.bias[[2, 4, 6]] = 1.0  # begins inside entities, unless it is kept from it
    apart = []
    for decoding in ("argmax", "iob2"):
        args = arguments(tmp_path, mode=mode, tag_decoding=decoding, max_steps=1, learning_rate=1e-4)
        tuned = fine_tune(copy.deepcopy(classifier), tokenizer, treebank, args)
        apart.append(tuned.scores["test"]["f1"] - tuned.scores["test"]["strict_f1"])
        begun = [tag for tags in tuned.tags["test"] for tag in tags if tag.startswith("B-")]
        assert bool(begun) == (decoding == "iob2")
    assert apart[1] == 0


def test_truncated_words_are_counted_and_scored_as_o(classifier, tokenizer, treebank, tmp_path):
    classifier.config.max_seq_len = 2
    tuned = fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, num_train_epochs=1))
    cut = tuned.truncated_words["test"]
    assert cut > 0
    assert sum(map(len, tuned.tags["test"])) == sum(map(len, treebank["test"]["tokens"]))
    assert tuned.scores["test"]["support"] == 6, "entities that were cut off still count"
    assert tuned.scores["test"]["f1"] < 1


def test_early_stopping_begins_with_the_first_entity_found(classifier, tokenizer, treebank, tmp_path):
    args = arguments(tmp_path, num_train_epochs=5, early_stopping_patience=1, learning_rate=0.0)
    with torch.no_grad():
        classifier.score.weight.zero_()
        classifier.score.bias.copy_(torch.tensor([0.0, 1, 0, 0, 0, 0, 0]))
    tuned = fine_tune(classifier, tokenizer, treebank, args)
    assert tuned.scores["validation"]["f1"] > 0
    assert tuned.epochs == 2
    with torch.no_grad():
        classifier.score.bias.copy_(torch.tensor([1.0, 0, 0, 0, 0, 0, 0]))
    tuned = fine_tune(
        classifier,
        tokenizer,
        treebank,
        arguments(tmp_path / "o", num_train_epochs=5, early_stopping_patience=1, learning_rate=0.0),
    )
    assert tuned.scores["validation"]["f1"] == 0
    assert tuned.epochs == 5


def test_accumulated_batches_train_like_one(classifier, tokenizer, treebank, tmp_path):
    start = {name: p.clone() for name, p in classifier.state_dict().items()}
    ends = []
    for batch, accumulation in ((16, 1), (4, 4)):
        classifier.load_state_dict(start)
        classifier.dropout.p = 0.0
        args = arguments(
            tmp_path / str(batch),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            max_steps=3,
            optim="sgd",
        )
        fine_tune(classifier, tokenizer, DatasetDict(train=treebank["train"]), args)
        ends.append(weights(classifier))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-6, rtol=1e-5)


def test_two_processes_train_like_one(classifier, tokenizer, treebank, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    treebank.save_to_disk(tmp_path / "treebank")
    out = tmp_path / "two"
    forked.run(train_both, tmp_path, out, log=tmp_path / "log", processes=2)
    for mode in ("full", "head"):
        one = train(tmp_path, mode, tmp_path / "one")
        torch.testing.assert_close(one, load_file(out / f"{mode}.safetensors"), atol=1e-6, rtol=1e-5)
        assert (one["score.weight"] - classifier.score.weight).abs().max() > 1e-3, "something was trained"


def test_wrong_arguments_and_a_treebank_without_train_are_errors(classifier, tokenizer, treebank, tmp_path):
    with pytest.raises(InputError, match="mode must be one of head, full, got 'both'"):
        arguments(tmp_path, mode="both")
    with pytest.raises(InputError, match="labelled_subword must be one of first, last, got 'middle'"):
        arguments(tmp_path, labelled_subword="middle")
    with pytest.raises(InputError, match="tag_decoding must be one of argmax, iob2, got 'crf'"):
        arguments(tmp_path, tag_decoding="crf")
    with pytest.raises(InputError, match="early_stopping_patience must be at least 1"):
        arguments(tmp_path, early_stopping_patience=0)
    with pytest.raises(InputError, match="no train split, only test"):
        fine_tune(classifier, tokenizer, DatasetDict(test=treebank["test"]), arguments(tmp_path))


def test_other_labels_in_the_model_or_the_treebank_are_errors(classifier, tokenizer, treebank, tmp_path):
    right = classifier.config.id2label
    classifier.config.id2label = {i: f"LABEL_{i}" for i in range(7)}
    with pytest.raises(InputError, match="the model knows the labels LABEL_0, LABEL_1"):
        fine_tune(classifier, tokenizer, treebank, arguments(tmp_path))
    classifier.config.id2label = right
    names = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=["O", "B-GPE"]))})
    other = Dataset.from_dict({"tokens": [["a"]], "ner_tags": [[1]]}, features=names)
    with pytest.raises(InputError, match=r"the model has the tags O, B-PER, .*, but training has O, B-GPE"):
        fine_tune(classifier, tokenizer, DatasetDict(train=other), arguments(tmp_path))


def test_predicted_tags_have_the_order_of_the_rows(classifier, tokenizer, treebank, tmp_path):
    tuned = fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, num_train_epochs=1))
    assert [len(row) for row in tuned.tags["test"]] == [len(row) for row in treebank["test"]["tokens"]]
    assert len(np.unique([len(row) for row in tuned.tags["test"]])) > 1


def test_words_without_their_space_are_learned_and_recorded_in_the_saved_model(
    classifier, tokenizer, treebank, tmp_path
):
    seen: list[list[int]] = []
    classifier.pico_decoder.register_forward_pre_hook(lambda _, args: seen.extend(args[0].tolist()))
    fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, space_before_words=False, num_train_epochs=1))
    bare, spaced = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("CD", " CD"))
    assert any(row[: len(bare)] == bare for row in seen)
    assert not any(row[: len(spaced)] == spaced for row in seen)
    classifier.save_pretrained(tmp_path / "saved")
    assert PicoForTokenClassification.from_pretrained(tmp_path / "saved").config.space_before_words is False


@pytest.mark.parametrize(("given", "dropout"), [(None, 0.1), (0.0, 0.0), (0.5, 0.5)])
def test_classifier_dropout_is_that_of_the_arguments_or_of_the_model(
    classifier, tokenizer, treebank, tmp_path, given, dropout
):
    fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, classifier_dropout=given, max_steps=1))
    assert classifier.dropout.p == dropout
    classifier.save_pretrained(tmp_path / "saved")
    assert PicoForTokenClassification.from_pretrained(tmp_path / "saved").dropout.p == dropout


def test_sentences_are_cut_after_the_given_number_of_subwords(classifier, tokenizer, treebank, tmp_path):
    tuned = fine_tune(classifier, tokenizer, treebank, arguments(tmp_path, max_sentence_tokens=2, max_steps=1))
    classifier.config.max_seq_len = 2
    assert tuned.truncated_words["test"] > 0
    assert fine_tune(classifier, tokenizer, treebank, arguments(tmp_path / "2", max_steps=1)).truncated_words == (
        tuned.truncated_words
    )


def test_the_last_epoch_can_be_chosen_and_nothing_is_evaluated_before(classifier, tokenizer, treebank, tmp_path):
    args = arguments(tmp_path, chosen_epoch="last", early_stopping_patience=1, num_train_epochs=6)
    tuned = fine_tune(classifier, tokenizer, treebank, args)
    assert (tuned.epochs, tuned.best_epoch) == (6, None)
    assert not list((tmp_path / "out").glob("checkpoint-*"))


def test_sentences_in_random_order_are_batched_whatever_their_length(classifier, tokenizer, treebank, tmp_path):
    def padding(by_length: bool) -> float:
        padded: list[float] = []

        def count(_, args, kwargs):
            if classifier.training:
                padded.append((kwargs["input_ids"] == tokenizer.pad_token_id).float().mean().item())

        handle = classifier.register_forward_pre_hook(count, with_kwargs=True)
        args = arguments(
            tmp_path / str(by_length), batch_by_length=by_length, num_train_epochs=2, per_device_train_batch_size=4
        )
        fine_tune(classifier, tokenizer, treebank, args)
        handle.remove()
        return sum(padded) / len(padded)

    assert padding(True) < padding(False) / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chosen_epoch": "first"}, "chosen_epoch must be one of best, last, got 'first'"),
        ({"classifier_dropout": 1.0}, "classifier_dropout must be at least 0 and below 1, got 1.0"),
        ({"max_sentence_tokens": 0}, "max_sentence_tokens must be at least 1, got 0"),
    ],
)
def test_wrong_choices_of_the_published_code_raise(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        arguments(tmp_path, **changes)
