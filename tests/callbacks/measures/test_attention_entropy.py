import math

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig
from transformers.models.auto import AutoModelForCausalLM

from pico_maml.callbacks.measures import attention_entropies, attention_entropy
from pico_maml.callbacks.measures.attention_entropy import EntropySums

SMALL = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}


def by_definition(attentions) -> np.ndarray:
    """(L, 2, H) from the model's own probabilities in float64: positions 2 ... T, each seeing what is not masked."""
    entropies = []
    for layer in attentions:
        a = layer.double().numpy()  # (B, H, T, S)
        entropy = -np.where(a > 0, a * np.log(np.where(a > 0, a, 1)), 0).sum(-1)
        length = a.shape[2]
        normalised = entropy[:, :, 1:] / np.log(np.arange(2, length + 1))
        entropies.append(np.stack([entropy[:, :, 1:].mean((0, 2)), normalised.mean((0, 2))]))
    return np.stack(entropies)


def test_entropy_of_known_distributions():
    assert attention_entropy(torch.full((3, 8), 1 / 8)).tolist() == pytest.approx([math.log(8)] * 3)
    assert attention_entropy(torch.eye(5)).tolist() == [0.0] * 5
    uniform = torch.ones(6, 6).tril()
    uniform = (uniform / uniform.sum(-1, keepdim=True))[None, None]
    visible = torch.arange(1, 7)[None, None]
    sums = EntropySums()
    sums.add(0, uniform, visible)
    sums.add(1, torch.eye(6)[None, None], visible)
    sums.add(2, torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, dtype=torch.long))
    means = sums.means()
    assert means[0][:, 0].tolist() == pytest.approx([math.log(math.factorial(6)) / 5, 1])
    assert means[1][:, 0].tolist() == [0, 0]
    assert means[2].isnan().all(), "no position sees two tokens"


@pytest.mark.parametrize("max_scores", [2**24, 500, 1])
def test_entropies_of_pico_equal_those_of_its_eager_probabilities(model, max_scores):
    ids = torch.randint(3, 200, (3, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weights in (p for name, p in model.named_parameters() if "q_proj" in name or "k_proj" in name):
            weights.mul_(20)  # sharp attention, not the uniform one of a new model
    model.train()
    state = torch.get_rng_state()
    entropies = attention_entropies(model, ids, max_scores)
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(torch.get_rng_state(), state)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = by_definition(model.eval()(ids, output_attentions=True).attentions)
    assert expected[:, 1].min() < 0.9
    np.testing.assert_allclose(torch.stack(list(entropies.values())).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL, intermediate_size=64, num_key_value_heads=2),
        GPTNeoXConfig(**SMALL, intermediate_size=64),
        GPT2Config(vocab_size=50, n_embd=32, n_head=4, n_layer=2),
    ],
    ids=lambda config: config.model_type,
)
def test_entropies_of_other_decoders_equal_those_of_their_probabilities(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.randint(0, 50, (2, 16))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
        expected = by_definition(model(ids, output_attentions=True).attentions)
    entropies = attention_entropies(model, ids)
    np.testing.assert_allclose(torch.stack(list(entropies.values())).numpy(), expected, rtol=1e-4)


def test_a_sliding_window_is_normalised_by_what_it_sees():
    config = MistralConfig(**SMALL, intermediate_size=64, num_key_value_heads=2, sliding_window=4)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    entropies = attention_entropies(model, torch.randint(0, 50, (1, 16)))
    # Uniform over 2, 3, 4, 4, ... tokens.
    nats = (math.log(2) + math.log(3) + 13 * math.log(4)) / 15
    assert entropies[0].tolist() == [pytest.approx([nats] * 4), pytest.approx([1.0] * 4)]


def test_a_model_whose_attention_cannot_be_exchanged_is_an_error(model, monkeypatch):
    monkeypatch.setattr(type(model), "set_attn_implementation", lambda self, name: None)
    with pytest.raises(ValueError, match="PicoForCausalLM has an attention that cannot be exchanged"):
        attention_entropies(model, torch.zeros(1, 4, dtype=torch.long))
