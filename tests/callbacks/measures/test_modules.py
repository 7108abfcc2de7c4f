import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from pico_maml.callbacks.measures import probe_activations, select_modules, spread_positions

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 32,
}


def names(selected):
    return [(layer, name) for _, name, layer in selected]


def test_modules_are_selected_by_glob_expression_and_layer(model):
    assert names(select_modules(model, ["attention.v_proj", "swiglu.w_2"])) == [
        (0, "attention.v_proj"),
        (0, "swiglu.w_2"),
        (1, "attention.v_proj"),
        (1, "swiglu.w_2"),
    ]
    assert names(select_modules(model, ["attention.[qk]*"], [-1])) == [
        (1, "attention.q_proj"),
        (1, "attention.k_proj"),
    ]
    assert names(select_modules(model, [r"re:swiglu\.w_[01]"], [0])) == [(0, "swiglu.w_0"), (0, "swiglu.w_1")]
    assert names(select_modules(model, ["de_embedding_proj"])) == [(-1, "de_embedding_proj")]
    neox = GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL))
    assert names(select_modules(neox, ["attention.dense"], [2])) == [(2, "attention.dense")]
    llama = LlamaForCausalLM(LlamaConfig(**SMALL))
    assert len(select_modules(llama, ["*"])) == 3 * 7 + 1


@pytest.mark.parametrize(
    ("patterns", "layers", "message"),
    [
        (
            ["attention.x_proj"],
            None,
            r"no module matches 'attention.x_proj': .* are attention.q_proj, attention.k_proj",
        ),
        (["re:("], None, "is no regular expression"),
        (["attention.*"], [2], "there is no layer 2: the model has 2"),
        (["attention.*"], [-3], "there is no layer -3"),
    ],
)
def test_patterns_and_layers_that_match_nothing_are_errors(model, patterns, layers, message):
    with pytest.raises(ValueError, match=message):
        select_modules(model, patterns, layers)


def test_activations_are_those_of_the_chosen_tokens(model):
    ids = torch.randint(3, 200, (3, 10), generator=torch.Generator().manual_seed(0))
    modules = select_modules(model, ["attention.v_proj", "swiglu.w_2"])
    positions = spread_positions(3, 10, 7)
    assert positions.tolist() == [0, 5, 10, 14, 19, 24, 29]
    model.train()
    outputs = probe_activations(model, ids, modules, positions)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    expected = []
    handle = modules[3].module.register_forward_hook(lambda module, args, output: expected.append(output))
    with torch.no_grad():
        model.eval()(ids)
    handle.remove()
    torch.testing.assert_close(outputs[3], expected[0].flatten(0, 1)[positions])
    assert outputs[0].shape == (7, 16)
    assert spread_positions(2, 4, 100).tolist() == list(range(8))
