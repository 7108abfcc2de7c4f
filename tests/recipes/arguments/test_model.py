import math
from types import SimpleNamespace

import pytest
import torch

from pico_maml.recipes.arguments.model import ModelArguments
from pico_maml.trainers import InputError
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM

SHAPE = {"d_model": 96, "n_layers": 2, "vocab_size": 5000}


def model(**changes):
    tokenizer = SimpleNamespace(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return ModelArguments(**SHAPE, **changes).model(tokenizer, seed=0)


def test_normal_weights_have_a_standard_deviation_of_two_hundredths():
    for name, p in model().named_parameters():
        if "norm" not in name:
            assert p.std().item() == pytest.approx(0.02, rel=0.05), name


def test_torch_weights_have_the_moments_of_its_defaults():
    for name, p in model(initializer="torch").named_parameters():
        if "norm" in name:
            assert torch.equal(p, torch.ones_like(p)), name
        elif "embedding_proj" in name and "de_" not in name:
            assert (p.mean().item(), p.std().item()) == (pytest.approx(0, abs=0.01), pytest.approx(1, rel=0.01))
        else:
            bound = p.shape[1] ** -0.5
            assert p.abs().max() <= bound, name
            assert p.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name


@pytest.mark.parametrize("initializer", ["xavier", "published"])
def test_head_of_the_published_code_begins_with_smaller_outputs_and_with_biases(initializer):
    head = {"ways": 32, "layers": 4, "hidden_dim": 128, "initializer": initializer}
    layers = PicoForMetaCausalLM.from_causal_lm(model(), 0, **head).meta_head.layers
    outputs = 5000 if initializer == "published" else 32
    for layer, fan_out in zip(layers, [128, 128, 128, outputs], strict=True):
        deviation = math.sqrt(2 / (layer.in_features + fan_out))
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
        bound = layer.in_features**-0.5 if initializer == "published" else 0
        assert layer.bias.abs().max() <= bound
        assert layer.bias.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initializer": "xavier"}, "initializer must be one of normal, torch, got 'xavier'"),
        (
            {"initializer": "torch", "init_from": "runs/a"},
            "initializer torch has no effect on the weights",
        ),
        ({"init_embeddings": "pca"}, "init_embeddings must be one of random, svd, got 'pca'"),
        ({"init_embeddings": "svd", "init_from": "runs/a"}, "init_embeddings svd has no effect on the weights"),
    ],
)
def test_wrong_initializer_raises(changes, message):
    with pytest.raises(InputError, match=message):
        ModelArguments(**changes)
