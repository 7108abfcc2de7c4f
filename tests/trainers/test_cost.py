from dataclasses import fields

import pytest
import torch
from report_runs import ARGUMENTS
from torch.utils.flop_counter import FlopCounterMode

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.recipes.arguments.model import ModelArguments
from pico_maml.trainers import MAMLConfig
from pico_maml.trainers.class_episodes.episode import ClassStates
from pico_maml.trainers.cost import ModelCost, cost_of, episode_flops, head_layers
from pico_maml.trainers.episodes import episode_generator, sample_episode, sample_stream_episode
from pico_maml.trainers.episodes.random_positions import sample_random_positions
from pico_maml.trainers.meta.episode_loss import InnerLoop
from pico_maml.trainers.meta.inner_loop import MetaHead
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM
from pico_maml.trainers.tasks.sampling import sample_task_episode
from pico_maml.trainers.tasks.table import Task, TaskClass, TaskTable

SHAPE = {name: ARGUMENTS[name] for name in ModelArguments.__dataclass_fields__ if name in ARGUMENTS}
SETTINGS = {f.name: f.default for f in fields(MAMLConfig)} | ARGUMENTS
WINDOW, WAYS, SHOTS, QUERIES = (ARGUMENTS[name] for name in ("episode_window", "n_way", "k_shot", "n_query"))


@pytest.fixture(params=[4, 2], ids=["all heads", "grouped queries"])
def config(request):
    """Heads of 16, which the CPU does not pad, and eager attention: torch does not count SDPA on a CPU."""
    shape = {"d_model": 64, "n_layers": 2, "attention_n_heads": 4, "activation_hidden_dim": 96, "vocab_size": 100}
    return PicoConfig(**shape, attention_n_kv_heads=request.param, max_seq_len=64, attn_implementation="eager")


def count(task):
    """FLOPs that torch counts; of the attention (all batched products) half, because eager attention computes the
    whole square of scores and masks what lies ahead."""
    with FlopCounterMode(display=False) as counter:
        task()
    counts = counter.get_flop_counts()["Global"]
    attention = counts.pop(torch.ops.aten.bmm)
    return sum(counts.values()) + attention / 2


def test_next_token_training_costs_what_torch_counts(config):
    model, ids = PicoForCausalLM(config), torch.randint(100, (3, 48))
    counted = count(lambda: model(ids).logits.sum().backward())
    assert counted == ModelCost.of(config).next_token(3 * 48, 48)
    assert count(lambda: model(ids).logits) == ModelCost.of(config).forward(3 * 48, 48, 100 * 64)


@pytest.fixture
def meta_model(config):
    head = {"ways": WAYS, "layers": ARGUMENTS["head_layers"], "hidden_dim": ARGUMENTS["head_hidden_dim"]}
    return PicoForMetaCausalLM.from_causal_lm(PicoForCausalLM(config), 0, **head, dropout=0.1)


TEXT = torch.randint(1, 100, (64, 48), generator=torch.Generator().manual_seed(0))


def measurements(support, query):
    """FLOPs that only measure and are not in the formula: support accuracy, query accuracy before and after the inner
    loop, and that of class prototypes."""
    return 2 * sum(head_layers(64, ARGUMENTS)) * (support + 2 * query) + 2 * support * WAYS * 64


@pytest.mark.parametrize(
    "inner",
    [InnerLoop(steps=3), InnerLoop(steps=3, first_order=False), InnerLoop("proto-maml", 3), InnerLoop("protonet")],
    ids=["first-order", "exact", "proto-maml", "protonet"],
)
def test_an_episode_costs_what_torch_counts(config, meta_model, inner):
    generator = episode_generator(0, 0, 0)
    episode = sample_episode(TEXT, 0, WAYS, SHOTS, QUERIES, generator, window=WINDOW, max_frequency=1.0)
    counted = count(lambda: meta_model(episode=episode, inner=inner, dropout_seed=0).loss.backward())
    settings = SETTINGS | {"meta_algorithm": inner.algorithm, "first_order": inner.first_order}
    assert counted - measurements(WAYS * SHOTS, WAYS * QUERIES) == episode_flops(config, settings, 0)


def test_an_episode_of_a_task_of_n_classes_costs_what_torch_counts(config, meta_model):
    rows, windows = torch.arange(WAYS * 9), torch.randint(1, 100, (WAYS * 9, 20), dtype=torch.int32)
    classes = tuple(TaskClass(str(n), n, rows[9 * n : 9 * n + 9]) for n in range(WAYS))
    table = TaskTable(windows, torch.full_like(rows, 20), rows, (Task("t", classes),))
    episode = sample_task_episode(table, WAYS, SHOTS, QUERIES, episode_generator(0, 0, 0))
    counted = count(lambda: meta_model(episode=episode, inner=InnerLoop(steps=3), dropout_seed=0).loss.backward())
    tasks = SETTINGS | {"task_share": 1.0, "task_window": 20, "episode_states": "stream"}
    flops = episode_flops(config, tasks, 0)
    assert counted - measurements(WAYS * SHOTS, WAYS * QUERIES) == flops
    of_words = episode_flops(config, tasks | {"task_share": 0.0}, 0)
    assert episode_flops(config, tasks | {"task_share": 0.25}, 0) == 0.75 * of_words + 0.25 * flops


def test_an_episode_at_random_positions_costs_what_torch_counts(config, meta_model):
    episode = sample_random_positions(TEXT[:6], 0, WAYS, SHOTS, QUERIES, episode_generator(0, 0, 0))
    counted = count(lambda: meta_model(episode=episode, inner=InnerLoop(steps=3), dropout_seed=0).loss.backward())
    settings = SETTINGS | {"episode_sampler": "random_positions"}
    assert counted - measurements(6 * SHOTS, 6 * QUERIES) == episode_flops(config, settings, 6 * 48)


def test_an_episode_from_the_states_of_the_pass_costs_the_head_alone(config, meta_model):
    past, ids = TEXT[:-4], TEXT[-4:]
    generator = episode_generator(0, 0, 0)
    episode = sample_stream_episode(past, ids, 0, WAYS, SHOTS, QUERIES, generator, window=WINDOW, max_frequency=1.0)
    inputs = {"input_ids": ids, "episode": episode, "support_features": torch.randn(WAYS * SHOTS, 64)}
    counted = count(lambda: meta_model(**inputs, inner=InnerLoop(steps=3), dropout_seed=0).loss.backward())
    encoding = 3 * ModelCost.of(config).forward(4 * 48, 48)
    expected = encoding + episode_flops(config, SETTINGS | {"episode_states": "stream"}, 0)
    assert counted - measurements(WAYS * SHOTS, WAYS * QUERIES) == expected


@pytest.mark.parametrize(("algorithm", "width"), [("protonet", 16), ("direct", 16), ("maml", 0), ("maml", 16)])
def test_a_class_episode_of_all_tokens_costs_what_torch_counts(config, algorithm, width):
    head = {"ways": 10, "layers": 1, "projection": width}
    model, ids, tokens = PicoForMetaCausalLM.from_causal_lm(PicoForCausalLM(config), 0, **head), TEXT[:4], 4 * 48
    rows, positions = torch.arange(tokens) // 48, torch.arange(tokens) % 48
    states = ClassStates(rows, positions, rows * 48 + positions, positions % 10)
    side = states.halves()
    episode = states.divide(side, torch.ones(2, 10, dtype=torch.bool), both=algorithm != "maml")
    inner = InnerLoop(algorithm, steps=3)
    counted = count(lambda: model(ids, episode=episode, inner=inner).loss.backward())
    settings = SETTINGS | {"episode_classes": "clusters", "meta_algorithm": algorithm, "class_width": width}
    settings |= {"class_count": 10, "inner_steps": 3, "gradient_accumulation_steps": 2}
    accuracy_before = 2 * tokens * (width or 64) * 10 * (algorithm == "maml")
    expected = 3 * ModelCost.of(config).forward(tokens, 48) + episode_flops(config, settings, 2 * tokens)
    assert counted - accuracy_before == expected


def test_next_token_training_costs_six_a_weight_and_token_plus_attention():
    config = PicoConfig.from_size("tiny", vocab_size=1000)
    layer = 2 * 96 * 96 + 2 * 96 * 32 + 3 * 96 * 384
    weights = 12 * layer + 1000 * 96
    assert ModelCost.of(config).next_token(512, 128) == pytest.approx(512 * (6 * weights + 6 * 12 * 96 * 128))


def test_weights_are_those_of_the_model_and_of_the_head():
    config = ModelArguments(**SHAPE).config()
    model, cost = PicoForCausalLM(config), ModelCost.of(config)
    assert cost.decoder == sum(p.numel() for p in model.pico_decoder.layers.parameters() if p.ndim == 2)
    assert cost.parameters == sum(p.numel() for p in model.parameters() if p.ndim == 2)
    head = MetaHead(32, 4, 2, 16, 0.1)
    assert head_layers(32, ARGUMENTS) == [p.numel() for p in head.parameters() if p.ndim == 2]


def test_cost_of_a_run_with_each_kind_of_episode():
    plain, stream, exact = (
        cost_of(ARGUMENTS | changes) for changes in ({}, {"episode_states": "stream"}, {"first_order": False})
    )
    model = ModelCost.of(ModelArguments(**SHAPE).config())
    assert plain.token == 6 * (model.decoder + 400 * 32) + 6 * 2 * 32 * 48
    encode, head = 2 * model.decoder + 2 * 2 * 32 * 8, 32 * 16 + 16 * 4
    step = 6 * head - 2 * 32 * 16
    assert plain.episode == (8 * 8 + 3 * 4 * 8) * encode + 8 * 3 * step + 4 * 6 * head
    assert stream.episode == 8 * 3 * step + 4 * 6 * head
    assert exact.episode == 3 * (8 * 8 + 4 * 8) * encode + 8 * 3 * 3 * step + 4 * 6 * head
    published = cost_of(ARGUMENTS | {"episode_sampler": "random_positions", "gradient_accumulation_steps": 2}, 960)
    encode = 2 * model.decoder + 2 * 2 * 32 * 48
    assert published.episode == (480 + 3 * 480) * encode + 20 * 3 * step + 10 * 6 * head


def test_arguments_without_a_model_have_no_cost():
    assert cost_of({}) is None
    assert cost_of(ARGUMENTS | {"d_model": "wide"}) is None
    assert cost_of(ARGUMENTS | {"d_model": 33}) is None
