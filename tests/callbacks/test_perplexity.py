import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, TrainerControl, TrainerState
from transformers.modeling_outputs import CausalLMOutput

from pico_maml.callbacks import (
    Dynamics,
    DynamicsFile,
    PerplexityCallback,
    Source,
    held_out_loss,
    load_dynamics,
    mean_text_perplexity,
    measure_source,
    perplexity,
)
from pico_maml.trainers.runs.files import DYNAMICS_FILE


@pytest.fixture
def held_out(blocks):
    return torch.as_tensor(blocks[:7]["input_ids"]).long()


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_loss_is_the_mean_over_tokens_whatever_the_batch(model, held_out, batch_size):
    result = held_out_loss(model, held_out, batch_size)
    with torch.no_grad():
        logits = model.eval()(held_out[:, :-1]).logits
    expected = F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten()).item()
    assert result.loss == pytest.approx(expected, abs=1e-5)
    assert result.tokens == 7 * 48
    assert result.perplexity == pytest.approx(math.exp(expected), rel=1e-4)


def test_evaluating_changes_neither_model_nor_random_state(model, held_out):
    model.train()
    state = torch.get_rng_state()
    held_out_loss(model, held_out, 4)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


def test_a_batch_of_padding_alone_adds_nothing_though_its_mean_is_not_a_number(held_out, monkeypatch):
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
    whole = held_out_loss(llama, held_out[:1], 1)
    # As on the second of two processes, which share one block.
    monkeypatch.setattr(perplexity, "PartialState", lambda: SimpleNamespace(num_processes=2, process_index=1))
    monkeypatch.setattr(perplexity, "reduce", lambda total, _: total + torch.tensor([whole.loss * 48, 48.0]))
    assert held_out_loss(llama, held_out[:1], 1).loss == pytest.approx(whole.loss)


def test_no_blocks_is_an_error(model):
    with pytest.raises(ValueError, match="no held-out blocks"):
        held_out_loss(model, torch.zeros(0, 49), 4)


def test_evaluates_every_ten_steps_and_keeps_the_training_log_of_that_step(model, held_out):
    logged: list[dict] = []
    control, state = TrainerControl(should_log=True), TrainerState(max_steps=25)

    def log(metrics: dict[str, float]) -> None:
        logged.append(metrics)
        control.should_log = False  # as the Trainer's `log` does

    callback = PerplexityCallback(held_out, 4, 10, log)
    callback.on_train_begin(None, state, control, model=model)
    for state.global_step in range(1, 26):
        callback.on_step_end(None, state, control, model=model)
    assert len(logged) == 4  # steps 0, 10, 20 and 25
    assert set(logged[0]) == {"eval_next_token_loss", "eval_perplexity"}
    assert control.should_log
    state.global_step = 10
    callback.on_train_begin(None, state, control, model=model)
    assert len(logged) == 4, "a resumed run has its evaluation already"


def test_bits_per_byte_and_rows_of_each_source(model, held_out, tokenizer, tmp_path):
    source = Source.from_blocks(held_out[:3], tokenizer)
    texts = [tokenizer.decode(row[1:], skip_special_tokens=True) for row in held_out[:3]]
    assert source.text_bytes == sum(len(text) for text in texts) > 100, "one byte a character here"
    result = held_out_loss(model, source.blocks, 2)
    bits = result.loss / math.log(2) * 3 * 48 / source.text_bytes
    assert result.bits_per_byte(source.text_bytes) == pytest.approx(bits)
    assert math.isnan(result.bits_per_byte(0))

    logged: list[dict] = []
    dynamics = Dynamics(DynamicsFile(tmp_path / DYNAMICS_FILE), 1, lambda: 5, lambda values: None)
    callback = PerplexityCallback(held_out, 4, 10, logged.append, 100, {"books": source}, dynamics)
    callback.on_train_begin(None, TrainerState(max_steps=25), TrainerControl(), model=model)
    frame = load_dynamics(tmp_path).set_index(["quantity", "source"]).value
    assert frame["bits_per_byte", "books"] == logged[0]["eval_bits_per_byte/books"] == pytest.approx(bits)
    assert frame["perplexity", "books"] == pytest.approx(result.perplexity)
    assert frame["perplexity", ""] == pytest.approx(logged[0]["eval_perplexity"])
    assert logged[0]["eval_bits_per_byte"] == frame["bits_per_byte", ""] > 0


def test_other_models_have_the_same_loss(held_out):
    config = LlamaConfig(vocab_size=400, hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    model = LlamaForCausalLM(config)
    result = held_out_loss(model, held_out, 3)
    with torch.no_grad():
        logits = model.eval()(held_out[:, :-1]).logits
    assert result.loss == pytest.approx(F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten()).item())


class Unigram(torch.nn.Module):
    """A language model that gives token i the probability p[i], whatever stands before it."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__()
        self.log_p = torch.nn.Parameter(torch.tensor(probabilities).log())
        self.device = self.log_p.device

    def forward(self, input_ids, labels, shift_labels, skip_logits, use_cache):
        counted = shift_labels[shift_labels != -100]
        return CausalLMOutput(loss=-self.log_p[counted].mean())


def test_mean_text_perplexity_counts_texts_and_perplexity_counts_tokens():
    model = Unigram([1 / 2, 1 / 8, 3 / 8]).train()
    easy, hard = torch.zeros(31, dtype=torch.long), torch.ones(3, dtype=torch.long)
    assert mean_text_perplexity(model, [easy]) == pytest.approx(2)
    assert mean_text_perplexity(model, [hard, easy]) == pytest.approx((2 + 8) / 2)
    assert mean_text_perplexity(model, [hard, hard, easy]) == pytest.approx((2 + 8 + 8) / 3)
    assert model.training
    blocks = torch.cat([easy, hard[:2]])[None]  # 30 easy predictions and 2 hard ones
    measured = measure_source(model, Source(blocks, 0, [easy, hard]), 1)
    assert measured["perplexity"] == pytest.approx(math.exp((30 * math.log(2) + 2 * math.log(8)) / 32))
    assert measured["mean_text_perplexity"] == pytest.approx(5)
    assert set(measured) == {"next_token_loss", "perplexity", "mean_text_perplexity"}


def test_mean_text_perplexity_of_a_text_that_overflows_is_infinite():
    assert mean_text_perplexity(Unigram([1.0, 0.0]), [torch.zeros(3).long(), torch.ones(3).long()]) == math.inf


def test_mean_text_perplexity_is_logged_and_written_for_every_source_with_texts(model, held_out, tmp_path):
    texts = [held_out[0, :9], held_out[1]]
    with torch.no_grad():
        losses = [F.cross_entropy(model.eval()(ids[None, :-1]).logits[0], ids[1:]).item() for ids in texts]
    expected = sum(map(math.exp, losses)) / 2
    logged: list[dict] = []
    dynamics = Dynamics(DynamicsFile(tmp_path / DYNAMICS_FILE), 1, lambda: 5, lambda values: None)
    sources = {"books": Source(held_out, 9, texts), "news": Source(held_out, 9)}
    callback = PerplexityCallback(held_out, 4, 10, logged.append, 0, sources, dynamics, texts[:1])
    callback.on_train_begin(None, TrainerState(max_steps=25), TrainerControl(), model=model)
    frame = load_dynamics(tmp_path).set_index(["quantity", "source"]).value
    assert logged[0]["eval_mean_text_perplexity"] == pytest.approx(math.exp(losses[0]), rel=1e-4)
    assert logged[0]["eval_mean_text_perplexity/books"] == pytest.approx(expected, rel=1e-4)
    assert frame["mean_text_perplexity", "books"] == logged[0]["eval_mean_text_perplexity/books"]
    assert "eval_mean_text_perplexity/news" not in logged[0]
