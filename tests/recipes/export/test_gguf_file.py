import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from pico_maml import PicoForCausalLM
from pico_maml.recipes.export import command as export
from pico_maml.recipes.export.gguf_file import GGUF_FILE, read_tokenizer
from pico_maml.trainers import InputError
from pico_maml.trainers.corpus import train_tokenizer

gguf = pytest.importorskip("gguf", reason="needs the package gguf (the extra gguf)")
TEXT = "ab cd  ef's <|endoftext|>Ünï 中文 1234\n\tgh[MASK]."


@pytest.fixture
def ids(config):
    return torch.randint(3, 400, (2, 16), generator=torch.Generator().manual_seed(1))


def run_export(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    export.main(["--model", str(tmp_path / "model"), "--format", "gguf", "--output_dir", str(tmp_path / "gguf")])
    return tmp_path / "gguf"


@pytest.mark.parametrize("tied", [False, True])
def test_transformers_loads_the_file_with_the_same_logits_and_tokens(config, tokenizer, ids, tied, tmp_path):
    # A vocabulary larger than the tokenizer, as the published ones are, and another base of the angles.
    config.vocab_size, config.tie_word_embeddings = 410, tied
    config.rope_parameters = {"rope_type": "default", "rope_theta": 500.0}
    torch.manual_seed(0)
    model = PicoForCausalLM(config).eval()
    folder = run_export(model, tokenizer, tmp_path)
    llama = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF_FILE, dtype=torch.float32)
    assert type(llama) is LlamaForCausalLM
    assert llama.config.tie_word_embeddings is tied
    torch.testing.assert_close(llama(ids).logits, model(ids).logits, atol=1e-5, rtol=0)
    (folder / "tokenizer.json").unlink()
    again = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_FILE)
    assert again(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert (again.eos_token_id, again.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(torch.float32, "F32"), (torch.float16, "F16"), (torch.bfloat16, "BF16")]
)
def test_the_file_has_every_tensor_in_the_dtype_of_the_model(model, tokenizer, dtype, stored, tmp_path):
    model.to(dtype)
    reader = gguf.GGUFReader(run_export(model, tokenizer, tmp_path) / GGUF_FILE)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == len(model.state_dict())
    query, norm = tensors["blk.1.attn_q.weight"], tensors["blk.1.ffn_norm.weight"]
    assert (query.tensor_type.name, norm.tensor_type.name) == (stored, "F32")
    expected = model.pico_decoder.layers[1].attention.q_proj.weight.detach().float().numpy()
    assert np.array_equal(gguf.dequantize(query.data, query.tensor_type).reshape(expected.shape), expected)
    assert reader.fields["tokenizer.ggml.pre"].contents() == "gpt-2"
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    assert types[:4] == [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL]


def test_the_olmo_tokenizer_is_read_with_its_special_tokens(shared):
    olmo = PreTrainedTokenizerFast(
        tokenizer_file=str(next((shared / "tokenizer").glob("*.json"))), eos_token="<|endoftext|>", mask_token="[MASK]"
    )
    read = read_tokenizer(olmo, 50304)
    assert (read["tokens"][50280], read["types"][50280]) == ("[MASK]", "CONTROL")
    assert read["types"].count("UNUSED") == 50304 - 50281
    assert (read["tokens"][50277], read["types"][50277]) == ("|||EMAIL_ADDRESS|||", "USER_DEFINED")
    assert read_tokenizer(olmo, 50280)["tokens"][-1] == "<|endoftext|>", "a model without a row for the mask"


def test_what_gguf_cannot_represent_is_an_error_before_writing(model, tokenizer, text, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="has id 399, but the model has 399 rows"):
        read_tokenizer(tokenizer, 399)
    other = train_tokenizer(text, 300)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(InputError, match="splits text as GPT-2 does"):
        read_tokenizer(other, 400)
    model.config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(InputError, match=r"no scaled positions .* export this model as llama"):
        run_export(model, tokenizer, tmp_path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match="needs the package gguf"):
        run_export(model, tokenizer, tmp_path)
    assert not (tmp_path / "gguf").exists()


def test_llama_cpp_generates_the_same_tokens(model, tokenizer, tmp_path):
    pytest.importorskip("xllamacpp", reason="needs llama.cpp (the package xllamacpp)")
    path = run_export(model, tokenizer, tmp_path) / GGUF_FILE
    prompt = tokenizer("ab cd ef gh ij bc de fg")["input_ids"]
    client = str(Path(__file__).parents[2] / "llama_cpp_client.py")
    done = subprocess.run(
        [sys.executable, client, str(path), TEXT, json.dumps(prompt)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert got["tokens"] == tokenizer(TEXT)["input_ids"]
    ids = torch.tensor([prompt])
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    options["suppress_tokens"] = [tokenizer.eos_token_id]  # what `ignore_eos` does in llama.cpp
    assert got["written"] == model.eval().generate(ids, **options)[0, len(prompt) :].tolist()
    with torch.no_grad():
        expected = model(ids).logits[0].log_softmax(-1)
    assert len(got["logprobs"]) > len(prompt) / 2
    for end, logprobs in got["logprobs"].items():
        for i, logprob in logprobs.items():
            assert expected[int(end) - 1, int(i)].item() == pytest.approx(logprob, abs=1e-5)
