import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
)

from pico_maml import PicoForCausalLM, PicoForSequenceClassification, PicoForTokenClassification
from pico_maml.recipes.export import command as export
from pico_maml.trainers import InputError
from pico_maml.trainers.ner import label_names


@pytest.fixture
def folder(model, tokenizer, tmp_path) -> Path:
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def ids(config):
    return torch.randint(3, config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(1))


def run_export(folder, kind) -> Path:
    out = folder.with_name(kind)
    export.main(["--model", str(folder), "--format", kind, "--output_dir", str(out)])
    assert len(AutoTokenizer.from_pretrained(out)) == 400
    return out


@pytest.mark.parametrize("tied", [False, True])
def test_llama_has_the_same_logits_and_generates_the_same_tokens(model, folder, ids, tied, tmp_path):
    if tied:
        model.config.tie_word_embeddings = True
        model.tie_weights()
        model.save_pretrained(folder)
    llama = AutoModelForCausalLM.from_pretrained(run_export(folder, "llama"))
    assert type(llama) is LlamaForCausalLM
    pico = PicoForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(llama(ids).logits, pico(ids).logits, atol=1e-5, rtol=0)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 1}
    assert torch.equal(llama.generate(ids, **options), pico.generate(ids, **options))
    assert llama.generation_config.eos_token_id == 0


def test_llama_export_of_a_published_checkpoint_has_the_expected_logits(shared, tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "parity")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "parity" / name).write_bytes((shared / "parity" / name).read_bytes())
    llama = LlamaForCausalLM.from_pretrained(run_export(tmp_path / "parity", "llama"))
    expected = load_file(shared / "parity" / "expected.safetensors")
    for k in range(3):
        logits = llama(expected[f"input_ids_{k}"]).logits
        assert (logits - expected[f"logits_{k}"]).abs().max() < 1e-5


def test_published_format_loads_with_the_same_logits(folder, ids):
    out = run_export(folder, "published")
    assert "pico_decoder.de_embedding_proj.weight" in load_file(out / "model.safetensors")
    assert json.loads((out / "config.json").read_text())["architectures"] == ["PicoDecoderHF"]
    again = PicoForCausalLM.from_pretrained(out)
    assert torch.equal(again(ids).logits, PicoForCausalLM.from_pretrained(folder)(ids).logits)


def test_published_format_saves_the_rope_base_and_rejects_what_it_cannot_represent(model, folder, ids, tmp_path):
    model.config.rope_parameters = {"rope_type": "default", "rope_theta": 500.0}
    model.save_pretrained(folder)
    out = run_export(folder, "published")
    assert json.loads((out / "config.json").read_text())["position_emb_theta"] == 500.0
    expected = PicoForCausalLM.from_pretrained(folder)(ids).logits
    assert torch.equal(PicoForCausalLM.from_pretrained(out)(ids).logits, expected)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(model.eval()(ids).logits, expected)  # the base does change the logits
    for changes, message in (
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}, "no scaled positions"),
        ({"tie_word_embeddings": True}, "no tied embeddings"),
    ):
        model.config.update(changes)
        model.save_pretrained(folder)
        with pytest.raises(InputError, match=message):
            export.main(["--model", str(folder), "--format", "published", "--output_dir", str(tmp_path / "none")])
        assert not (tmp_path / "none").exists()


REMOTE = """
import sys, torch
sys.modules["pico_maml"] = None  # not installed
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
ids = torch.arange(3, 19)[None]
for auto in (AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification):
    model = auto.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
    out = model(ids)
    assert "pico_maml" not in type(model).__module__, type(model)
    if auto is AutoModelForCausalLM:
        print(out.logits[0, -1, :8].tolist())
        assert model.generate(ids, max_new_tokens=3, pad_token_id=1).shape[1] > 16
        model.save_pretrained(sys.argv[2])
assert AutoConfig.from_pretrained(sys.argv[1], trust_remote_code=True).d_model == 32
"""


def test_hub_format_loads_without_the_package(folder, tmp_path):
    out = run_export(folder, "hub")
    assert {"modeling_pico.py", "configuration_pico.py"} <= {path.name for path in out.iterdir()}
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    done = subprocess.run(
        [sys.executable, "-c", REMOTE, str(out), str(tmp_path / "again")],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = PicoForCausalLM.from_pretrained(folder)(torch.arange(3, 19)[None]).logits[0, -1, :8]
    torch.testing.assert_close(torch.tensor(json.loads(done.stdout.splitlines()[-1])), expected)
    local = AutoModelForCausalLM.from_pretrained(out)
    assert type(local) is PicoForCausalLM, "with the package installed its own classes load the folder"


def test_a_classifier_of_texts_is_exported_to_the_hub_alone(config, tokenizer, tmp_path):
    config.num_labels = 3
    classifier = PicoForSequenceClassification(config)
    classifier.save_pretrained(tmp_path / "classifier")
    tokenizer.save_pretrained(tmp_path / "classifier")
    exported = AutoModelForSequenceClassification.from_pretrained(run_export(tmp_path / "classifier", "hub"))
    assert torch.equal(exported.score.weight, classifier.score.weight)
    with pytest.raises(InputError, match="is a classifier, which the format llama does not have"):
        run_export(tmp_path / "classifier", "llama")


def test_a_tagger_is_exported_with_its_classifier_and_to_the_hub_alone(config, tokenizer, tmp_path):
    for name, value in label_names().items():
        setattr(config, name, value)
    torch.manual_seed(0)
    tagger = PicoForTokenClassification(config)
    tagger.save_pretrained(tmp_path / "tagger")
    tokenizer.save_pretrained(tmp_path / "tagger")
    exported = AutoModelForTokenClassification.from_pretrained(run_export(tmp_path / "tagger", "hub"))
    assert torch.equal(exported.score.weight, tagger.score.weight)
    assert "token-classification" in exported.config.custom_pipelines
    for kind in ("llama", "gguf", "published"):
        with pytest.raises(InputError, match=f"is a tagger, which the format {kind} does not have"):
            run_export(tmp_path / "tagger", kind)


def test_wrong_arguments_are_input_errors(folder, tmp_path):
    with pytest.raises(InputError, match="format must be one of hub, llama, gguf, published, got 'onnx'"):
        export.main(["--model", str(folder), "--format", "onnx", "--output_dir", str(tmp_path / "x")])
    with pytest.raises(InputError, match="is not empty"):
        export.main(["--model", str(folder), "--format", "hub", "--output_dir", str(folder)])
    with pytest.raises(InputError, match="cannot load a model from 'no/model'"):
        export.main(["--model", "no/model", "--format", "hub", "--output_dir", str(tmp_path / "x")])
    other = tmp_path / "gpt2"
    GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=400)).save_pretrained(other)
    AutoTokenizer.from_pretrained(folder).save_pretrained(other)
    with pytest.raises(InputError, match="is a GPT2LMHeadModel, not a Pico model"):
        export.main(["--model", str(other), "--format", "hub", "--output_dir", str(tmp_path / "x")])
