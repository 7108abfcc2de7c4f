"""The classifier of texts: padding, pooling, losses, and transformers' pipeline."""

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, pipeline

from pico_maml import PicoForSequenceClassification
from pico_maml.modeling_pico.classifiers_pico import pool

TEXTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


@pytest.fixture(params=["last", "mean"])
def classifier(request, config):
    config.num_labels, config.classifier_dropout, config.classifier_pooling = 3, 0.0, request.param
    torch.manual_seed(0)
    return PicoForSequenceClassification(config).eval()


def padded(side: str, token: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of the texts, padded with a token on one side."""
    rows, masks = [], []
    for text in TEXTS:
        fill = [token] * (5 - len(text))
        rows.append(text + fill if side == "right" else fill + text)
        masks.append([1] * len(text) + [0] * len(fill) if side == "right" else [0] * len(fill) + [1] * len(text))
    return torch.tensor(rows), torch.tensor(masks)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_no_logits(classifier, side, attention):
    classifier.set_attn_implementation(attention)
    alone = torch.cat([classifier(torch.tensor([text])).logits for text in TEXTS])
    ids, mask = padded(side)
    torch.testing.assert_close(classifier(ids, attention_mask=mask).logits, alone)
    classifier.config.pad_token_id = 0
    if side == "right":  # without a mask the decoder reads padding on the left as text
        torch.testing.assert_close(classifier(ids).logits, alone)


def test_a_text_that_ends_with_the_padding_token_is_read_to_its_end(classifier):
    classifier.config.pad_token_id = 9
    ids, mask = padded("right", token=9)  # the first text ends with it
    alone = torch.cat([classifier(torch.tensor([text]), torch.ones(1, len(text))).logits for text in TEXTS])
    torch.testing.assert_close(classifier(ids, attention_mask=mask).logits, alone)


@pytest.mark.parametrize("parts", [1, 3])
def test_loss_is_exact_when_a_batch_is_accumulated(classifier, parts):
    ids, mask = padded("right")
    labels = torch.tensor([2, 0, 1])
    loss = sum(
        classifier(*part, labels=targets, num_items_in_batch=3).loss
        for *part, targets in zip(ids.chunk(parts), mask.chunk(parts), labels.chunk(parts), strict=True)
    )
    torch.testing.assert_close(loss, F.cross_entropy(classifier(ids, mask).logits, labels))


def test_numbers_and_several_classes_of_a_text_have_the_losses_of_transformers(classifier):
    ids, mask = padded("right")
    logits = classifier(ids, mask).logits
    several = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    loss = classifier(ids, mask, labels=several).loss
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits, several))
    classifier.config.problem_type = "regression"
    torch.testing.assert_close(classifier(ids, mask, labels=several).loss, F.mse_loss(logits, several))


def test_pooling_ignores_states_that_are_no_numbers_behind_padding():
    states = torch.tensor([[[1.0], [3.0], [torch.nan]], [[torch.nan], [5.0], [7.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert pool(states, mask, "mean").tolist() == [[2.0], [6.0]]
    assert pool(states, mask, "last").tolist() == [[3.0], [7.0]]


def test_all_layers_a_cache_and_embeddings_give_the_same_logits(classifier, config):
    config.classifier_features = "all"
    model = PicoForSequenceClassification(config).eval()
    ids = torch.tensor([TEXTS[0]])
    assert model.score.in_features == 3 * config.d_model
    embeds = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=embeds).logits, model(ids).logits)
    if config.classifier_pooling == "last":
        cache = model(ids[:, :3], use_cache=True).past_key_values
        behind = model(ids[:, 3:], attention_mask=torch.ones(1, 5), past_key_values=cache)
        torch.testing.assert_close(behind.logits, model(ids).logits)


def test_the_auto_class_loads_it_from_a_language_model_and_its_own_folder(model, classifier, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "base")
    fresh = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
    assert type(fresh) is PicoForSequenceClassification
    assert torch.equal(fresh.pico_decoder.embedding_proj.weight, model.pico_decoder.embedding_proj.weight)
    classifier.config.id2label = {0: "good", 1: "bad", 2: "neither"}
    classifier.save_pretrained(tmp_path / "own")
    tokenizer.save_pretrained(tmp_path / "own")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "own")
    assert torch.equal(again.score.weight, classifier.score.weight)
    classify = pipeline("text-classification", str(tmp_path / "own"))
    probabilities = classifier(**tokenizer("ab cd", return_tensors="pt")).logits.softmax(-1)
    found = classify("ab cd")[0]
    assert found["label"] == classifier.config.id2label[probabilities.argmax().item()]
    assert found["score"] == pytest.approx(probabilities.max().item(), abs=1e-6)
