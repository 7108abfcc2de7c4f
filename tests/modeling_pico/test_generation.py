"""Generation, because transformers' source distribution lacks its own tests of it."""

import pytest
import torch
from torch.nn import functional as F
from transformers import DynamicCache, StaticCache

from pico_maml import PicoConfig, PicoForCausalLM

STRATEGIES = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 5, "temperature": 0.8},
    "beam": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "beam sampling": {"do_sample": True, "num_beams": 2},
}


@pytest.fixture
def ids(config):
    return torch.randint(3, config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_generation_with_a_cache_equals_generation_without(model, ids, strategy):
    options = {"max_new_tokens": 6, "eos_token_id": None, "pad_token_id": 1, **STRATEGIES[strategy]}
    lengths: set[int] = set()  # of the inputs of forward passes: without a cache they grow
    model.pico_decoder.embedding_proj.register_forward_hook(lambda module, args, output: lengths.add(args[0].shape[1]))
    torch.manual_seed(0)
    cached = model.generate(ids, use_cache=True, return_dict_in_generate=True, output_logits=True, **options)
    assert lengths == {9, 1}
    torch.manual_seed(0)
    uncached = model.generate(ids, use_cache=False, return_dict_in_generate=True, output_logits=True, **options)
    assert lengths == {1, *range(9, 15)}
    assert cached.sequences.shape == (2 * options.get("num_return_sequences", 1), 15)
    assert torch.equal(cached.sequences, uncached.sequences)
    torch.testing.assert_close(cached.logits, uncached.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["dynamic", "static"])
def test_caches_give_the_greedy_continuation(model, ids, implementation):
    out = model.generate(
        ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=1, cache_implementation=implementation
    )
    with torch.no_grad():
        expected = ids
        for _ in range(6):
            expected = torch.cat([expected, model(expected).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(out, expected)


def test_static_cache_equals_the_full_forward(model, ids):
    model.eval()
    cache = StaticCache(config=model.config, max_cache_len=16)
    with torch.no_grad():
        full = model(ids).logits
        first = model(ids[:, :5], past_key_values=cache).logits
        rest = [model(ids[:, i : i + 1], past_key_values=cache).logits for i in range(5, 9)]
    torch.testing.assert_close(torch.cat([first, *rest], 1), full, atol=1e-5, rtol=1e-5)


def test_assisted_generation_equals_plain(model, ids):
    torch.manual_seed(1)
    assistant = PicoForCausalLM(model.config)
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    plain = model.generate(ids[:1], **options)
    assert torch.equal(model.generate(ids[:1], assistant_model=assistant, **options), plain)


def test_embedded_prompt_gives_the_continuation_of_its_ids(model, ids):
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    whole = model.generate(ids[:, :1], **options)
    assert whole.shape == (2, 5)
    embedded = model.generate(inputs_embeds=model.get_input_embeddings()(ids[:, :1]), **options)
    assert torch.equal(embedded, whole[:, 1:])


def test_generation_stops_at_end_of_text_and_pads(model, ids):
    with torch.no_grad():
        first = model.eval()(ids).logits[0, -1].argmax().item()
    out = model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=first, pad_token_id=1)
    assert out[0, 9:].tolist() == [first, 1, 1, 1, 1], "padded while the other row goes on"


def test_several_tokens_after_a_cache_equal_the_full_forward(model, ids):
    model.eval()
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(ids[:, :4], past_key_values=cache, use_cache=True)
        rest = model(ids[:, 4:], past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(rest, model(ids).logits[:, 4:], atol=1e-5, rtol=1e-5)


def test_left_padded_batch_scores_like_single_rows(model, ids):
    model.eval()
    rows = [ids[0, :4], ids[1, :9]]
    width = 9
    padded = torch.stack([F.pad(row, (width - len(row), 0), value=1) for row in rows])
    mask = torch.stack([F.pad(torch.ones_like(row), (width - len(row), 0)) for row in rows])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = model(padded, attention_mask=mask, position_ids=positions).logits
        for row, out in zip(rows, logits, strict=True):
            torch.testing.assert_close(out[-len(row) :], model(row[None]).logits[0], atol=1e-5, rtol=1e-5)


def test_generation_beyond_max_seq_len_equals_that_of_a_longer_model(ids):
    shape = {"vocab_size": 50, "d_model": 16, "n_layers": 1, "attention_n_heads": 2, "attention_n_kv_heads": 1}
    options = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    continuations = []
    for max_seq_len in (8, 64):
        torch.manual_seed(0)
        model = PicoForCausalLM(PicoConfig(**shape, max_seq_len=max_seq_len))
        continuations.append(model.generate(ids % 50, **options))
    assert continuations[0].shape[1] == 29
    assert torch.equal(*continuations)
