"""Loads published checkpoints by every class and recipe; run as a process of its own, with an empty cache."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

import pico_maml
from pico_maml.callbacks import load_dynamics
from pico_maml.modeling_pico.classifiers_pico import PicoClassifier
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.finetune import command as finetune
from pico_maml.trainers import InputError

KINDS = {
    AutoModel: pico_maml.PicoModel,
    AutoModelForCausalLM: pico_maml.PicoForCausalLM,
    AutoModelForSequenceClassification: pico_maml.PicoForSequenceClassification,
    AutoModelForTokenClassification: pico_maml.PicoForTokenClassification,
}


def check_loading(repository: str, where: dict[str, str], folder: Path, kinds: dict, dtypes: tuple) -> None:
    """The Auto classes load the tensors of `folder` and no others."""
    published = load_file(folder / "model.safetensors")
    for auto, kind in kinds.items():
        for dtype in dtypes:
            model, info = auto.from_pretrained(repository, **where, dtype=dtype, output_loading_info=True)
            assert type(model) is kind
            own = {"score.weight", "score.bias"} if issubclass(kind, PicoClassifier) else set()
            assert set(info["missing_keys"]) == own, info
            assert not info["unexpected_keys"], info
            assert not info["mismatched_keys"], info
            decoder = model if kind is pico_maml.PicoModel else model.pico_decoder
            tensors = {f"pico_decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
            if kind is pico_maml.PicoForCausalLM:
                tensors["pico_decoder.de_embedding_proj.weight"] = model.de_embedding_proj.weight
            assert len(tensors) == len(published) - (kind is not pico_maml.PicoForCausalLM)
            for name, tensor in tensors.items():
                assert torch.equal(tensor, published[name].to(dtype)), name
            assert model.get_input_embeddings().num_embeddings == 50281
            logits = model(torch.arange(3, 9)[None])[0]
            assert torch.isfinite(logits).all()
            assert logits.dtype is dtype


def main(cases: list[dict], recipes: dict, work: Path) -> None:
    for case in cases:
        # Every class and dtype by revision and by subfolder; the other ways to name a revision once.
        dtypes = (torch.float32, torch.bfloat16) if case["every_class"] else (torch.float32,)
        kinds = KINDS if case["every_class"] else {AutoModelForCausalLM: pico_maml.PicoForCausalLM}
        check_loading(case["repository"], case["where"], Path(case["folder"]), kinds, dtypes)
    source = ["--model", recipes["repository"], "--revision", recipes["revision"]]
    local = ["--model", recipes["folder"]]
    corpus = ["--dataset", recipes["corpus"], "--block_size", "32", "--eval_fraction", "0.5", "--episodes", "0"]
    served, expected = (evaluate.main([*model, *corpus])["next_token_loss"] for model in (source, local))
    assert served == expected
    with pytest.raises(InputError, match=f"{recipes['repository']}.*step-7"):
        evaluate.main(["--model", recipes["repository"], "--revision", "step-7", *corpus])
    series = ["--revisions", "main", recipes["revision"], "--steps", "7", "100", "--keep_downloads", "false"]
    output = ["--output_dir", str(work / "dynamics"), "--eval_blocks", "8"]
    assert dynamics.main([*source[:2], *series, *corpus[:-2], *output]) == [7, 100]
    assert set(load_dynamics(work / "dynamics").step) == {7, 100}
    mode = ["--treebank", "sample", "--mode", "head", "--max_steps", "1", "--output_dir", str(work / "ner")]
    finetune.main([*source, *mode, "--disable_tqdm", "True"])
    tagger = AutoModelForTokenClassification.from_pretrained(work / "ner")
    published = load_file(Path(recipes["folder"]) / "model.safetensors")
    assert torch.equal(tagger.pico_decoder.embedding_proj.weight, published["pico_decoder.embedding_proj.weight"])
    print("all loaded")


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    main(plan["cases"], plan["recipes"], Path(plan["work"]))
