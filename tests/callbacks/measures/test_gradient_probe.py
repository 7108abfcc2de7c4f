"""Gradients of both objectives on the probe, compared with backward passes of the trained model."""

from dataclasses import replace

import pytest
import torch
from small_run import arguments
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from pico_maml.callbacks.measures import GradientProbe, QueryObjective, first_blocks
from pico_maml.trainers.meta.episode_loss import InnerLoop
from pico_maml.trainers.meta.gradients import objective_gradients
from pico_maml.trainers.meta.meta_model import PicoForMetaCausalLM


@pytest.fixture
def rows(blocks):
    return torch.as_tensor(blocks[:60]["input_ids"]).long()


@pytest.fixture
def meta_model(model, tmp_path):
    args = arguments(tmp_path, held_out_words=0.1)
    meta = PicoForMetaCausalLM.from_causal_lm(model, 0, **args.head())
    meta.config.episode = {"hybrid_ratio": 0.5, **args.episode_settings()}
    return meta


def draw(meta_model, rows, tokenizer) -> tuple[QueryObjective, GradientProbe]:
    query = QueryObjective.of_model(meta_model, tokenizer)
    assert query is not None
    return query, GradientProbe(first_blocks(rows, 32), query.draw(32, rows[:, :-1]))


def assert_same(gradients, expected) -> None:
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def backward(model, loss) -> dict:
    model.zero_grad()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return gradients


@pytest.mark.parametrize(
    "inner",
    [InnerLoop(), InnerLoop(first_order=False), InnerLoop("proto-maml"), InnerLoop("protonet")],
    ids=["first order", "second order", "proto-maml", "protonet"],
)
def test_gradients_are_those_of_the_mean_loss_of_the_trained_model(meta_model, rows, tokenizer, inner):
    _, probe = draw(meta_model, rows, tokenizer)
    assert len(probe.episodes) == 4
    assert probe.blocks[:, 1:].numel() == 144, "at least four tokens a dimension, in whole blocks"
    found = objective_gradients(meta_model, probe.losses(inner))
    losses = [meta_model(episode=episode, inner=inner).loss for episode in probe.episodes]
    assert_same(found["query"], backward(meta_model, torch.stack(losses).mean()))
    logits = meta_model(probe.blocks[:, :-1]).logits
    expected = backward(meta_model, F.cross_entropy(logits.flatten(0, 1), probe.blocks[:, 1:].flatten()))
    assert_same(found["next_token"], expected)
    assert set(found["next_token"]) & set(found["query"]) == {
        name for name, _ in meta_model.named_parameters() if name.startswith("pico_decoder.")
    }


def test_gradient_does_not_depend_on_the_number_of_passes(meta_model, rows, monkeypatch):
    probe = GradientProbe(rows[:7])
    (one,) = probe.losses(None)["next_token"]
    whole = objective_gradients(meta_model, {"next_token": [one]})["next_token"]
    monkeypatch.setattr("pico_maml.trainers.meta.gradients.TOKENS_PER_PASS", 2 * 48)
    losses = probe.losses(None)
    assert len(losses["next_token"]) == 4
    assert_same(objective_gradients(meta_model, losses)["next_token"], whole)


def test_tied_weights_of_any_decoder_get_one_gradient_without_dropout(rows):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        attention_dropout=0.5,
    )
    llama = LlamaForCausalLM(config).train()
    found = objective_gradients(llama, GradientProbe(rows[:3]).losses(None))["next_token"]
    logits = llama.eval()(rows[:3, :-1]).logits
    expected = backward(llama, F.cross_entropy(logits.flatten(0, 1), rows[:3, 1:].flatten()))
    assert "lm_head.weight" not in found
    assert_same(found, expected)


def test_measuring_leaves_gradients_mode_weights_and_random_state_alone(meta_model, rows, tokenizer):
    query, probe = draw(meta_model, rows, tokenizer)
    meta_model.train()
    for p in meta_model.parameters():
        p.grad = torch.ones_like(p)
    meta_model.config._attn_implementation = "flash_attention_2"  # which has no fp32, and is not used
    before = {name: p.detach().clone() for name, p in meta_model.named_parameters()}
    random = torch.get_rng_state()
    assert objective_gradients(meta_model, probe.losses(query.inner))
    assert torch.equal(torch.get_rng_state(), random)
    assert meta_model.training
    assert meta_model.config._attn_implementation == "flash_attention_2"
    for name, p in meta_model.named_parameters():
        assert torch.equal(p, before[name]), name
        assert p.grad.eq(1).all(), name


def test_frozen_and_half_precision_weights_are_measured_in_fp32(meta_model, rows):
    losses = GradientProbe(rows[:3]).losses(None)
    meta_model.bfloat16()
    rounded = objective_gradients(meta_model, losses)["next_token"]
    meta_model.float()  # the same values
    meta_model.pico_decoder.embedding_proj.requires_grad_(False)
    found = objective_gradients(meta_model, losses)["next_token"]
    assert set(rounded) - set(found) == {"pico_decoder.embedding_proj.weight"}
    assert_same({name: rounded[name] for name in found}, found)


def test_probe_survives_being_saved_as_tensors(meta_model, rows, tokenizer):
    query, probe = draw(meta_model, rows, tokenizer)
    same = GradientProbe.from_tensors(probe.tensors())
    assert same is not None
    one, other = (objective_gradients(meta_model, p.losses(query.inner)) for p in (probe, same))
    for objective, gradients in one.items():
        assert all(torch.equal(gradients[name], other[objective][name]) for name in gradients)
    assert GradientProbe.from_tensors({"0/attention.v_proj": torch.zeros(1)}) is None


def test_probe_episodes_follow_the_training_of_the_model(meta_model, rows, tokenizer):
    query, probe = draw(meta_model, rows, tokenizer)
    assert query.inner == InnerLoop(steps=10, lr=0.5)
    trained = set(query.words.find(rows[:, :-1]).words.tolist())
    every = set(replace(query.words, lowest=0.0).find(rows[:, :-1]).words.tolist())
    assert trained < every, "some words are held out"
    assert all(set(episode.words.tolist()) <= trained for episode in probe.episodes)
    assert len({tuple(episode.words.tolist()) for episode in probe.episodes}) == 4
    documents = torch.arange(len(rows))[:, None].expand(-1, 48) // 5
    for episode in query.draw(32, rows[:, :-1], documents):
        support, other = (
            {(int(label), int(document)) for label, document in zip(part.labels, part.documents, strict=True)}
            for part in (episode.support, episode.query)
        )
        assert {document for _, document in support | other} <= set(range(12))
        assert not support & other, "support and query of a word come from different documents"
    meta_model.config.episode |= {"first_order": False}
    second_order = QueryObjective.of_model(meta_model, tokenizer)
    assert second_order is not None
    assert second_order.inner == replace(query.inner, first_order=False)
    meta_model.config.episode |= {"hybrid_ratio": 0}
    assert QueryObjective.of_model(meta_model, tokenizer) is None
    assert set(probe.losses(None)) == {"next_token"}


def test_too_little_held_out_text_is_reported(meta_model, rows, tokenizer, caplog):
    query, _ = draw(meta_model, rows, tokenizer)
    assert query.draw(32, rows[:1, :-1]) == []
    assert "gradients of the query loss are not measured; raise eval_blocks or eval_fraction" in caplog.text
    assert len(first_blocks(rows[:2], 32)) == 2
    assert "96 tokens, fewer than 4 times the width 32" in caplog.text
