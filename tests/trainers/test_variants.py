"""Every way to mix episodes into next-token prediction, through the trainer."""

import copy
import functools
import json
import math
import shutil

import pytest
import torch
from small_run import arguments, trainer

from pico_maml.modeling_pico import PicoModel
from pico_maml.trainers import InputError
from pico_maml.trainers.episodes import episode_generator
from pico_maml.trainers.meta.episode_model import EpisodeOutput

STREAM = {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "n_way": 3, "k_shot": 1}
TIMED = {"tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
TIMED |= {"training_cpu_seconds", "sampling_cpu_seconds", "other_cpu_seconds"}


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def logs(folder) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in TIMED} for entry in entries]


def test_added_episodes_leave_every_token_to_next_token_prediction(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, hybrid_mode="add", hybrid_ratio=1.0, logging_steps=4)
    run.train()
    entry = logs(tmp_path)[0]
    assert entry["episodes"] == 8
    assert entry["next_token_tokens"] == entry["tokens_seen"]
    assert entry["class_0_share"] == pytest.approx(1 / 4)
    assert {"next_token_loss", "query_loss"} <= set(entry)


@pytest.mark.parametrize("extra", [{}, STREAM])
def test_added_with_weight_0_trains_the_backbone_as_vanilla_does(extra, model, blocks, tokenizer, tmp_path):
    ends = []
    for name, changes in (("vanilla", {"hybrid_ratio": 0.0}), ("added", {"hybrid_mode": "add", **extra})):
        weight = {"query_loss_weight": 0.0, "max_grad_norm": 0.0}
        run = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / name, **{**weight, **changes})
        run.train()
        ends.append(weights(run.model))
    for name, weight in ends[0].items():
        if not name.startswith("meta_head"):
            torch.testing.assert_close(ends[1][name], weight, atol=1e-6, rtol=0)


def test_the_weight_of_the_query_loss_warms_up(tmp_path):
    args = arguments(tmp_path, query_loss_weight=0.4, query_loss_warmup_steps=4)
    assert [args.query_weight(step) for step in range(6)] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_the_weight_of_the_query_loss_falls_to_0_at_the_end_of_the_run(tmp_path):
    args = arguments(tmp_path, query_loss_weight=0.4, query_loss_warmup_steps=2, query_loss_annealing=0.5)
    assert [args.query_weight(step, 8) for step in range(8)] == pytest.approx([0, 0.2, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1])


def test_weight_scales_the_gradient_of_an_episode(model, blocks, tokenizer, tmp_path):
    moved = []
    for weight in (1.0, 0.25):
        run = trainer(
            copy.deepcopy(model),
            blocks,
            tokenizer,
            tmp_path / str(weight),
            hybrid_ratio=1.0,
            query_loss_weight=weight,
            max_steps=1,
            optim="sgd",
            learning_rate=1.0,
            max_grad_norm=0.0,
        )
        before = weights(run.model)
        run.train()
        moved.append({name: before[name] - p for name, p in weights(run.model).items()})
    for name, change in moved[0].items():
        torch.testing.assert_close(moved[1][name], 0.25 * change, atol=1e-6, rtol=1e-3)


def test_stream_takes_its_states_from_the_next_token_pass(model, blocks, tokenizer, tmp_path):
    """Query states of the pass itself, support states as they were when their batch was trained on."""
    run = trainer(model, blocks, tokenizer, tmp_path, hybrid_ratio=1.0, max_steps=1, learning_rate=0.0, **STREAM)
    drawn = []
    source_draw = run.source.draw

    def draw(input_ids, generator):
        episode = source_draw(input_ids, generator)
        drawn.append((input_ids.clone(), episode))
        return episode

    run.source.draw = draw
    run.train()
    (first_ids, none), (second_ids, episode) = drawn
    assert none is None, "there are no states before the first batch"
    assert torch.equal(episode.support.ids, first_ids)
    assert torch.equal(episode.query.ids, second_ids)
    # With a learning rate of 0 the model is still the one that made the states.
    expected = run.model.pico_decoder(first_ids).last_hidden_state[episode.support.rows, episode.support.positions]
    states = torch.stack([batch.states for batch in run.source.pool._batches])[0]
    torch.testing.assert_close(states[episode.support.rows, episode.support.positions], expected)
    assert logs(tmp_path)[0]["episodes_skipped"] == 1


@pytest.mark.parametrize(
    "changes", [STREAM, {"learn_inner_lr": True, "first_order": False}, {"episode_gradient_share": 0.5}]
)
def test_resume_is_bitwise(changes, model, blocks, tokenizer, tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "episode_pool": 12, "seed": 4, **changes}
    # With this seed the first micro-batch after the resume draws an episode from the saved pool.
    whole = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "whole", **options)
    whole.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    again = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "part", **options)
    again.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    assert all(torch.equal(p, weights(whole.model)[name]) for name, p in weights(again.model).items())
    assert logs(tmp_path / "whole") == logs(tmp_path / "part")


@pytest.mark.parametrize("changes", [{}, STREAM, {"episode_sampler": "random_positions"}])
def test_shuffled_labels_are_drawn_after_the_episode_and_from_its_generator(
    changes, model, blocks, tokenizer, tmp_path
):
    *past, batch = torch.as_tensor(blocks[:20]["input_ids"])[:, :-1].split(4)
    found = {}
    for labels in ("own", "shuffled", "shuffled again"):
        options = {**changes, "episode_labels": labels.split()[0]}
        source = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path, **options).source
        for earlier in past:
            source.before(earlier)
            if source.streams:
                source.after(EpisodeOutput(states=torch.zeros(*earlier.shape, 32)))
        source.before(batch)
        found[labels] = [source.draw(batch, episode_generator(0, step, 0)) for step in range(8)]
    for own, shuffled, again in zip(*found.values(), strict=True):
        assert torch.equal(own.query.ids, shuffled.query.ids)
        assert torch.equal(own.query.positions, shuffled.query.positions)
        assert torch.equal(own.support.labels, shuffled.support.labels)
        assert torch.equal(shuffled.query.labels, again.query.labels)
    pairs = zip(found["own"], found["shuffled"], strict=True)
    assert any(not torch.equal(own.query.labels, shuffled.query.labels) for own, shuffled in pairs)


def test_learned_rates_move_and_do_not_decay(model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, learn_inner_lr=True, hybrid_ratio=1.0, weight_decay=0.5)
    rates = run.model.meta_head.log_inner_lr
    assert rates.shape == (10, 2)
    assert torch.equal(rates.detach(), torch.full_like(rates, math.log(0.5)))
    assert not any("log_inner_lr" in name for name in run.get_decay_parameter_names(run.model))
    run.train()
    assert (rates != math.log(0.5)).all()


def test_random_positions_log_a_large_class_0(model, blocks, tokenizer, tmp_path):
    options = {"episode_sampler": "random_positions", "hybrid_ratio": 1.0, "n_way": 4, "k_shot": 3}
    run = trainer(model, blocks, tokenizer, tmp_path, **options)
    run.train()
    assert run.model.config.episode["held_out_rule"] == "id", "tokens are hidden, not words"
    entry = logs(tmp_path)[0]
    assert entry["class_0_share"] > 0.4
    assert entry["support_class_0_share"] > 0.4


@pytest.mark.parametrize("changes", [{}, {"hybrid_mode": "add"}, STREAM, {"meta_algorithm": "protonet"}])
def test_bf16_keeps_the_head_in_full_precision(changes, model, blocks, tokenizer, tmp_path):
    run = trainer(model, blocks, tokenizer, tmp_path, bf16=True, learning_rate=1e-3, hybrid_ratio=0.7, **changes)
    dtypes = set()
    for layer in (run.model.pico_decoder.layers[0].attention.q_proj, run.model.meta_head):
        layer.register_forward_hook(lambda module, args, output: dtypes.add((type(module).__name__, output.dtype)))
    run.train()
    assert dtypes == {("Linear", torch.bfloat16), ("MetaHead", torch.float32)}
    assert all(math.isfinite(value) for entry in logs(tmp_path) for value in entry.values())
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}


def test_a_compiled_backbone_trains_like_the_plain_one(model, blocks, tokenizer, tmp_path, monkeypatch):
    # Without the C++ compiler, which would take minutes.
    monkeypatch.setattr(PicoModel, "compile", functools.partialmethod(PicoModel.compile, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    ends = []
    for name, compiled in (("plain", False), ("compiled", True)):
        options = {"compile_backbone": compiled, "max_steps": 8, "learning_rate": 1e-3}
        run = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / name, **options)
        run.train()
        ends.append(weights(run.model))
    for name, weight in ends[0].items():
        torch.testing.assert_close(ends[1][name], weight, atol=1e-4, rtol=1e-3)
    # Next-token rows, support windows without gradient, query windows with it: compiled once each.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hybrid_mode": "both"}, "hybrid_mode must be one of replace, add, got 'both'"),
        ({"meta_algorithm": "reptile"}, "meta_algorithm must be one of maml, proto-maml, protonet, got 'reptile'"),
        ({"episode_sampler": "x"}, "episode_sampler must be one of smlmt, random_positions, got 'x'"),
        ({"episode_labels": "x"}, "episode_labels must be one of own, shuffled, got 'x'"),
        ({"episode_states": "x"}, "episode_states must be one of windows, stream, got 'x'"),
        ({"query_loss_weight": -1.0}, "query_loss_weight must be at least 0, got -1.0"),
        ({"query_loss_weight": math.nan}, "query_loss_weight must be at least 0, got nan"),
        ({"query_loss_weight": math.inf}, "query_loss_weight and episode_gradient_share must be finite, got inf and"),
        ({"episode_gradient_share": -0.1}, "episode_gradient_share must be at least 0, got -0.1"),
        ({"episode_gradient_share": math.inf}, "must be finite, got 1.0 and inf"),
        ({"episode_gradient_share": 0.1, "query_loss_weight": 0.3}, "but query_loss_weight is 0.3: give"),
        ({"head_layers": 0}, "head_layers must be at least 1, got 0"),
        ({"query_loss_warmup_steps": -1}, "query_loss_warmup_steps must be at least 0, got -1"),
        ({**STREAM, "hybrid_mode": "replace"}, "episode_states stream needs hybrid_mode add, got 'replace'"),
        ({**STREAM, "readout": "mask"}, "episode_states stream needs readout previous, got 'mask'"),
        ({**STREAM, "first_order": False}, "needs meta_algorithm maml and first_order true, got maml and false"),
        ({"learn_inner_lr": True, "meta_algorithm": "protonet"}, "learn_inner_lr has nothing to learn"),
        ({"episode_sampler": "random_positions", "readout": "previous"}, "random_positions needs readout mask"),
        ({"episode_sampler": "random_positions", "held_out_rule": "stem:dutch"}, "must be id, got 'stem:dutch'"),
        ({"held_out_rule": "stem:klingon"}, "no stemmer of that language: give one of arabic, "),
        ({"dataloader_drop_last": False}, "dataloader_drop_last must stay true"),
        ({"accelerator_config": {"dispatch_batches": True}}, "accelerator_config dispatch_batches"),
        ({"held_out_words": 1.0}, "held_out_words must be at least 0 and below 1, got 1.0"),
        ({"torch_compile": True}, "torch_compile would compile a forward that branches: use compile_backbone"),
    ],
)
def test_arguments_out_of_range_or_excluding_each_other_are_input_errors(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        arguments(tmp_path, **changes)


def test_stream_with_too_few_words_is_an_input_error(model, blocks, tokenizer, tmp_path):
    with pytest.raises(
        InputError, match="the first 20 blocks have too few words for n_way 90: each needs k_shot 1 places"
    ):
        trainer(model, blocks, tokenizer, tmp_path, **{**STREAM, "n_way": 90})


def test_a_head_with_other_arguments_is_an_input_error(model, blocks, tokenizer, tmp_path):
    meta = trainer(model, blocks, tokenizer, tmp_path).model
    with pytest.raises(InputError, match="has other arguments: learned_lr_steps 0 -> 10; start from a model"):
        trainer(meta, blocks, tokenizer, tmp_path, learn_inner_lr=True)
