"""Features that users of a LLaMA expect of a Pico."""

import functools
import hashlib

import pytest
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from transformers.integrations.flex_attention import WrappedFlexAttention

from pico_maml import PicoConfig, PicoForCausalLM, PicoForTokenClassification, PicoModel


@pytest.fixture
def ids(config):
    return torch.randint(3, config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(1))


FLEX = ["flex_attention by eager", pytest.param("flex_attention by inductor", marks=pytest.mark.slow)]


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The name of an attention; behind `by`, what compiles it. Inductor writes C++, which takes a minute."""
    name, _, backend = request.param.partition(" by ")
    if backend:
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
        monkeypatch.setattr(WrappedFlexAttention, "_instance", None)  # compiled at its first call
    return name


@pytest.mark.parametrize("implementation", ["eager", *FLEX], indirect=True)
@pytest.mark.parametrize("padded", [False, True])
def test_attention_implementations_agree_with_sdpa(model, ids, implementation, padded):
    mask = torch.ones_like(ids)
    if padded:
        mask[0, :5] = 0
    model.eval()
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits
        model.set_attn_implementation(implementation)
        got = model(ids, attention_mask=mask).logits
    tokens = mask.bool()
    torch.testing.assert_close(got[tokens], expected[tokens], atol=1e-5, rtol=1e-4)


def test_attentions_and_hidden_states_are_returned_on_request(model, ids):
    model.set_attn_implementation("eager")
    out = model.eval()(ids, output_attentions=True, output_hidden_states=True)
    assert [a.shape for a in out.attentions] == [(2, 4, 16, 16)] * 2
    torch.testing.assert_close(out.attentions[0].sum(-1), torch.ones(2, 4, 16))
    assert torch.equal(out.attentions[1].triu(1), torch.zeros(2, 4, 16, 16)), "nothing to the right"
    assert [h.shape for h in out.hidden_states] == [(2, 16, 32)] * 3
    torch.testing.assert_close(model.de_embedding_proj(out.hidden_states[-1]), out.logits)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", *FLEX], indirect=True)
def test_packed_sequences_do_not_see_each_other(model, ids, implementation):
    model.eval()
    positions = torch.cat([torch.arange(7), torch.arange(9)]).expand(2, -1)
    with torch.no_grad():
        apart = torch.cat([model(ids[:, :7]).logits, model(ids[:, 7:]).logits], dim=1)
        model.set_attn_implementation(implementation)
        packed = model(ids, position_ids=positions, use_cache=False).logits
    torch.testing.assert_close(packed, apart, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("keep", [1, 3, torch.tensor([0, 5])])
def test_logits_to_keep_selects_positions(model, ids, keep):
    model.eval()
    full = model(ids).logits
    expected = full[:, -keep:] if isinstance(keep, int) else full[:, keep]
    torch.testing.assert_close(model(ids, logits_to_keep=keep).logits, expected)


def test_meta_device_loading_gives_the_right_rotary_angles(model, ids, tmp_path):
    model.save_pretrained(tmp_path)
    expected = model.eval()(ids).logits
    for options in ({}, {"device_map": "auto"}, {"dtype": torch.float32, "device_map": {"": "cpu"}}):
        loaded = PicoForCausalLM.from_pretrained(tmp_path, **options)
        torch.testing.assert_close(loaded(ids).logits, expected)
    with init_empty_weights():
        empty = PicoForCausalLM(model.config)
    assert empty.de_embedding_proj.weight.is_meta


@pytest.mark.parametrize("kind", [PicoModel, PicoForCausalLM, PicoForTokenClassification])
def test_save_load_save_gives_identical_bytes(config, kind, tmp_path):
    model = kind(config)
    digests = []
    for i in range(2):
        folder = tmp_path / str(i)
        model.save_pretrained(folder)
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()})
        model = kind.from_pretrained(folder)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_checkpoints_load_and_generate_in_their_dtype(model, ids, dtype, tmp_path):
    model.to(dtype).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert loaded.dtype is dtype
    out = loaded(ids)
    assert torch.isfinite(out.logits).all()
    assert loaded.generate(ids, max_new_tokens=2, pad_token_id=1).shape == (2, 18)


def test_published_layout_in_a_subfolder_with_an_added_mask_row(config, ids, tmp_path):
    config.vocab_size = 401
    model = PicoForCausalLM(config)
    folder = tmp_path / "checkpoints" / "step_100"
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["pico_decoder.de_embedding_proj.weight"] = tensors.pop("de_embedding_proj.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, subfolder="checkpoints/step_100", dtype=torch.bfloat16)
    assert loaded.config.vocab_size == 401
    assert loaded.dtype is torch.bfloat16
    torch.testing.assert_close(loaded.float()(ids).logits, model.eval()(ids).logits, atol=0.05, rtol=0.05)


def test_tied_embeddings_are_saved_and_trained_as_one(config, ids, tmp_path):
    config.tie_word_embeddings = True
    model = PicoForCausalLM(config)
    assert model.de_embedding_proj.weight is model.pico_decoder.embedding_proj.weight
    model.save_pretrained(tmp_path)
    loaded = PicoForCausalLM.from_pretrained(tmp_path)
    assert loaded.de_embedding_proj.weight is loaded.pico_decoder.embedding_proj.weight
    torch.testing.assert_close(loaded(ids).logits, model.eval()(ids).logits)
    plain = F.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    (expected,) = torch.autograd.grad(plain, model.de_embedding_proj.weight)
    (got,) = torch.autograd.grad(model.train()(ids, labels=ids).loss, model.de_embedding_proj.weight)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)


def test_resizing_the_vocabulary_keeps_the_old_rows(model, ids):
    before = model.eval()(ids).logits
    model.resize_token_embeddings(410)
    assert model.config.vocab_size == 410
    assert model(ids).logits.shape[-1] == 410
    torch.testing.assert_close(model(ids).logits[..., :400], before)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_into_one_graph(model, ids, backend):
    model.eval()
    with torch.no_grad():
        expected = model(ids).logits
        compiled = torch.compile(model, fullgraph=True, backend=backend)(ids).logits
    torch.testing.assert_close(compiled, expected, atol=1e-5, rtol=1e-4)


def test_torch_export_gives_the_same_logits(model, ids):
    model.eval()
    program = torch.export.export(model, (ids,), {"use_cache": False})
    torch.testing.assert_close(program.module()(ids, use_cache=False).logits, model(ids).logits)


def test_linear_rope_scaling_divides_the_positions(config, ids):
    config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    torch.manual_seed(0)
    scaled = PicoModel(config).eval()
    config.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0}
    torch.manual_seed(0)
    plain = PicoModel(config).eval()
    positions = torch.arange(16)[None]
    torch.testing.assert_close(
        scaled(ids, position_ids=positions).last_hidden_state,
        plain(ids, position_ids=positions / 2).last_hidden_state,
    )
    assert PicoConfig().rope_parameters == {"rope_type": "default", "rope_theta": 10000.0}
