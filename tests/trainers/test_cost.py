import torch
from report_runs import ARGUMENTS
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from pico_maml import PicoForCausalLM
from pico_maml.recipes.arguments.model import ModelArguments
from pico_maml.trainers.cost import cost_of, decoder_weights, head_weights
from pico_maml.trainers.meta.inner_loop import MetaHead

SHAPE = {name: ARGUMENTS.get(name) for name in ModelArguments.__dataclass_fields__}


def test_cost_of_a_token_is_what_torch_counts():
    config = ModelArguments(**SHAPE).config()
    model = PicoForCausalLM(config)
    with FlopCounterMode(display=False) as counter:
        model(torch.randint(400, (1, 48))).logits.sum().backward()
    multiplied = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    heads = (1, config.attention_n_heads, 48, config.d_model // config.attention_n_heads)
    # The CPU's fused attention is not counted where it is run, so by torch's own formula: forward, and twice backward.
    attention = 3 * config.n_layers * sdpa_flop_count(heads, heads, heads)
    cost = cost_of(ARGUMENTS)
    assert cost is not None
    assert multiplied + attention == 48 * cost.token


def test_weights_are_those_of_the_model_and_of_the_head():
    config = ModelArguments(**SHAPE).config()
    layers = PicoForCausalLM(config).pico_decoder.layers
    assert decoder_weights(config) == sum(p.numel() for p in layers.parameters() if p.ndim == 2)
    head = MetaHead(32, 4, 2, 16, 0.1)
    assert head_weights(32, ARGUMENTS) == sum(p.numel() for p in head.parameters() if p.ndim == 2)


def test_cost_of_an_episode():
    plain, stream, second = (
        cost_of(ARGUMENTS | changes) for changes in ({}, {"episode_states": "stream"}, {"first_order": False})
    )
    assert plain
    assert stream
    assert second
    decoder, head = decoder_weights(ModelArguments(**SHAPE).config()), 32 * 16 + 16 * 4
    encode = 2 * decoder + 4 * 2 * 32 * 8
    adapt = 6 * head * (8 * 3 + 4)
    assert plain.episode == (8 * 8 + 3 * 4 * 8) * encode + adapt
    assert stream.episode == adapt
    assert second.episode == 3 * (8 * 8 + 4 * 8) * encode + adapt
    published = cost_of(ARGUMENTS | {"episode_sampler": "random_positions", "gradient_accumulation_steps": 2}, 960)
    assert published
    assert published.episode == (480 + 3 * 480) * (2 * decoder + 4 * 2 * 32 * 48) + 6 * head * (20 * 3 + 10)


def test_arguments_that_do_not_tell():
    assert cost_of({}) is None
    assert cost_of(ARGUMENTS | {"d_model": "wide"}) is None
    assert cost_of(ARGUMENTS | {"d_model": 33}) is None
