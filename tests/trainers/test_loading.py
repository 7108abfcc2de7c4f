"""A checkpoint whose config.json and weights do not belong together is an error."""

import json

import pytest
from transformers import AutoModelForCausalLM

from pico_maml.trainers import InputError
from pico_maml.trainers.loading import load_pretrained


@pytest.mark.parametrize(
    ("layers", "message"), [(1, "weights of more layers than the 1 of its config.json"), (3, "lacks weights")]
)
def test_a_layer_too_many_or_too_few_is_an_error(model, tmp_path, layers, message):
    model.save_pretrained(tmp_path)
    assert load_pretrained(AutoModelForCausalLM, str(tmp_path), None).config.n_layers == 2
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"n_layers": layers}))
    with pytest.raises(InputError, match=message):
        load_pretrained(AutoModelForCausalLM, str(tmp_path), None)
