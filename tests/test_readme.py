"""The README's commands and Python run as printed, as far as that needs no hours and no network."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pico_maml import PicoForTokenClassification
from pico_maml.recipes import (
    corpus_arguments,
    evaluate,
    export,
    finetune,
    ner_results,
    predict,
    pretrain,
    sweep_arguments,
)
from pico_maml.recipes.arguments import parse
from pico_maml.trainers import MAMLConfig
from pico_maml.trainers.ner import NERConfig

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"-m pico_maml\.recipes\.(\w+) (.*)", README)
TYPES = {
    "pretrain": (pretrain.ModelArguments, corpus_arguments.CorpusArguments, pretrain.RunArguments, MAMLConfig),
    "evaluate": (evaluate.EvaluateArguments, corpus_arguments.CorpusArguments),
    "export": (export.ExportArguments,),
    "finetune": (finetune.FinetuneArguments, NERConfig),
    "predict": (predict.PredictArguments,),
    "sweep": sweep_arguments.TYPES,
    "ner_results": (ner_results.NERResultsArguments,),
}


@pytest.mark.parametrize(("recipe", "arguments"), COMMANDS)
def test_commands_parse(recipe, arguments, tmp_path):
    argv = shlex.split(arguments)
    if "demo" not in argv and recipe == "pretrain":
        argv.append("--use_cpu")  # the paper's recipes ask for bf16 on a GPU
    assert parse(TYPES[recipe], argv)


def test_every_recipe_is_in_the_readme():
    assert {recipe for recipe, _ in COMMANDS} == set(TYPES)


def test_files_of_the_tree_exist():
    root = Path(__file__).parents[1]
    tree = README.split("## The files")[1].split("```")[1]
    folder = root
    named = set()
    for line in tree.strip().splitlines():
        entries = re.findall(r"[\w/]+\.py|[\w]+/", line.split("  floor")[0])
        if not line.startswith(" "):
            folder = root / entries[0]
            assert folder.is_dir(), folder
            continue
        for entry in entries if "recipes" in str(folder) and line.count(".py") > 1 else entries[:1]:
            assert (folder / entry).exists(), folder / entry
            named.add((folder / entry).resolve())
    flat = {
        p.resolve() for f in ("trainers", "callbacks", "recipes", "modeling_pico") for p in (root / f).glob("*.py")
    }
    assert not {path.name for path in flat - named} - {"__init__.py"}


def test_python_of_the_readme(model, tokenizer, blocks, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    monkeypatch.chdir(tmp_path)
    for folder, saved in (("runs/demo", model), ("runs/demo/ner", PicoForTokenClassification(model.config))):
        saved.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    load, use, train = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(load, names)
    before = names["model"](**names["inputs"]).logits
    exec(use, names)
    assert names["loss"].isfinite()
    torch.testing.assert_close(names["merged"](**names["inputs"]).logits, before)
    for kind in ("hub", "llama"):
        (line,) = [arguments for recipe, arguments in COMMANDS if recipe == "export" and f"format {kind}" in arguments]
        export.main(shlex.split(line))
        exported = AutoModelForCausalLM.from_pretrained(f"runs/demo-{kind}")
        torch.testing.assert_close(exported(**names["inputs"]).logits, before, atol=1e-5, rtol=1e-4)
    smaller = train.replace('PicoConfig.from_size("tiny")', "config").replace("max_steps=1000", "max_steps=1")
    smaller = smaller.replace("n_way=32, k_shot=4", "n_way=4, k_shot=2, word_max_frequency=1, episode_window=8")
    assert smaller.count("config") > train.count("config")
    exec(smaller, {"config": model.config, "blocks": blocks, "tokenizer": tokenizer})
    assert (tmp_path / "runs/mine/metrics.jsonl").exists()
