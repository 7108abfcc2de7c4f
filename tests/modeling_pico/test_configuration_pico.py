import json
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from pico_maml import PicoConfig, PicoForCausalLM


# Table 11 of the paper says 11M, 65M, 181M and 570M; the exact counts follow from the shapes of section 3.1.
@pytest.mark.parametrize(
    ("size", "parameters"),
    [("tiny", 11_282_784), ("small", 64_595_328), ("medium", 181_095_168), ("large", 569_808_384)],
)
def test_named_sizes_have_the_papers_parameter_counts(size, parameters):
    with torch.device("meta"):
        model = PicoForCausalLM(PicoConfig.from_size(size))
    assert model.num_parameters() == parameters


def test_unknown_size_lists_the_known_ones():
    with pytest.raises(ValueError, match="'huge': choose one of tiny, small, medium, large"):
        PicoConfig.from_size("huge")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d_model": "768"}, "expected int, got str"),
        ({"d_model": 96.0}, "expected int, got float"),
        ({"max_seq_len": True}, "expected int, got bool"),
        ({"position_emb_theta": "10000"}, "position_emb_theta.*'10000'"),
        ({"tie_word_embeddings": "no"}, "expected bool, got str"),
        ({"d_model": 100}, "attention_n_heads must divide d_model, got d_model=100 and attention_n_heads=12"),
        ({"attention_n_kv_heads": 5}, "attention_n_kv_heads must divide attention_n_heads"),
        ({"d_model": 36}, "must be even because RoPE rotates pairs"),
        ({"n_layers": -1}, "n_layers must be at least 1, got -1"),
        ({"attention_n_kv_heads": 24}, "got attention_n_heads=12 and attention_n_kv_heads=24"),
        ({"norm_eps": 0}, "must be positive and finite, got 0 and 10000.0"),
        ({"norm_eps": math.nan}, "must be positive and finite, got nan"),
        ({"position_emb_theta": math.inf}, "must be positive and finite, got 1e-06 and inf"),
        ({"initializer_range": -0.02}, "must be finite and not negative, got -0.02"),
        ({"rope_parameters": {"rope_type": "spiral"}}, "rope_type must be default or one of .* got 'spiral'"),
        ({"classifier_dropout": 1.0}, r"classifier_dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_shapes_fail_at_construction_with_rule_and_values(values, message):
    with pytest.raises(StrictDataclassError, match=message):
        PicoConfig(**values)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    "name",
    [
        "vocab_size",
        "d_model",
        "n_layers",
        "attention_n_heads",
        "attention_n_kv_heads",
        "activation_hidden_dim",
        "max_seq_len",
    ],
)
def test_sizes_below_one_fail_by_name(name, value):
    with pytest.raises(StrictDataclassError, match=f"{name} must be at least 1, got {value}"):
        PicoConfig(**{name: value})


def test_published_config_keys_are_understood():
    config = PicoConfig.from_dict({"d_model": 96, "activation_hidden_dim": 384, "batch_size": 1024, "norm_eps": 1e-6})
    assert (config.hidden_size, config.intermediate_size, config.num_key_value_heads) == (96, 384, 4)
    assert config.rope_parameters["rope_theta"] == 10000.0


def test_values_are_found_by_transformers_names_too_but_saved_by_their_own_alone(tmp_path):
    config = PicoConfig.from_size("tiny", attention_n_kv_heads=6)
    values = config.to_dict()
    assert (values["num_key_value_heads"], values.get("num_attention_heads")) == (6, 12)
    assert "hidden_size" in values
    assert "n_embd" not in values
    assert values.get("n_embd", 1) == 1
    with pytest.raises(KeyError, match="n_embd"):
        values["n_embd"]
    config.save_pretrained(tmp_path)
    assert not PicoConfig.attribute_map.keys() & json.loads((tmp_path / "config.json").read_text()).keys()
    assert PicoConfig.from_dict({**values, "d_model": 48}).hidden_size == 48
