"""The README's commands and Python run as printed, as far as that needs no hours and no network."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pico_maml import PicoForCausalLM, PicoForTokenClassification
from pico_maml.callbacks import DynamicsFile, Row
from pico_maml.recipes import evaluate, finetune, ner_results, predict
from pico_maml.recipes.arguments.corpus import CorpusArguments
from pico_maml.recipes.arguments.parser import parse
from pico_maml.recipes.benchmark import command as benchmark
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.export import command as export
from pico_maml.recipes.prepare import command as prepare
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.publish import command as publish
from pico_maml.recipes.report import command as report
from pico_maml.recipes.scale import command as scale
from pico_maml.recipes.sweep.arguments import TYPES as SWEEP
from pico_maml.trainers.ner import NERConfig

README = (Path(__file__).parents[1] / "README.md").read_text()
LOAD, USE, HARNESS, TRAIN, DYNAMICS = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = re.findall(r"-m pico_maml\.recipes\.(\w+) (.*)", README)
TYPES = {
    "pretrain": pretrain.TYPES,
    "dynamics": dynamics.TYPES,
    "benchmark": (benchmark.BenchmarkArguments,),
    "scale": (scale.ScaleArguments,),
    "evaluate": (evaluate.EvaluateArguments, CorpusArguments),
    "export": (export.ExportArguments,),
    "finetune": (finetune.FinetuneArguments, NERConfig),
    "predict": (predict.PredictArguments,),
    "prepare": (prepare.PrepareArguments,),
    "publish": publish.TYPES,
    "sweep": SWEEP,
    "ner_results": (ner_results.NERResultsArguments,),
    "report": (report.ReportArguments,),
}


@pytest.mark.parametrize(("recipe", "arguments"), COMMANDS)
def test_commands_parse(recipe, arguments, tmp_path):
    argv = shlex.split(arguments)
    if recipe == "publish":
        argv.insert(0, "--run")  # which its first argument may stand for
    if "demo" not in argv and recipe == "pretrain":
        argv.append("--use_cpu")  # the paper's recipes ask for bf16 on a GPU
    if recipe == "report":
        assert report.arguments(argv).runs == argv[:2]
    else:
        assert parse(TYPES[recipe], argv)


def test_every_recipe_is_in_the_readme():
    assert {recipe for recipe, _ in COMMANDS} == set(TYPES)


def test_files_of_the_tree_exist():
    root = Path(__file__).parents[1]
    tree = README.split("## The files")[1].split("```")[1]
    folder = root
    named = set()
    for line in tree.strip().splitlines():
        entries = re.findall(r"[\w/]+\.py|[\w/]+/", line.split("  floor")[0])
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


@pytest.fixture
def demo(model, tokenizer, tmp_path, monkeypatch):
    """The folders that `make demo` leaves, with a smaller model."""
    monkeypatch.chdir(tmp_path)
    for folder, saved in (("runs/demo", model), ("runs/demo/ner", PicoForTokenClassification(model.config))):
        saved.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def test_load_generate_classify_lora_export_and_load_the_export(demo, capsys):
    pytest.importorskip("peft")
    names: dict = {}
    exec(LOAD, names)
    assert capsys.readouterr().out.startswith("The function returns")
    before = names["model"](**names["inputs"]).logits
    exec(USE, names)
    assert {"entity_group", "word", "start", "end"} <= set(names["entities"]("ab cd")[0])
    assert names["trainer"].state.global_step == 20
    texts = [names["tokenizer"](text, return_tensors="pt")["input_ids"] for text in re.findall(r'"(The .+?\.)"', USE)]
    losses = []
    for folder in ("runs/demo", "runs/demo-lora"):
        loaded = AutoModelForCausalLM.from_pretrained(folder)
        assert type(loaded) is PicoForCausalLM
        losses.append(sum(loaded(ids, labels=ids).loss.item() for ids in texts))
    assert losses[1] < losses[0] - 0.3, "the adapters were trained, and are part of what was saved"
    for kind in ("hub", "llama"):
        (line,) = [arguments for recipe, arguments in COMMANDS if recipe == "export" and f"format {kind}" in arguments]
        export.main(shlex.split(line))
        exported = AutoModelForCausalLM.from_pretrained(f"runs/demo-{kind}")
        torch.testing.assert_close(exported(**names["inputs"]).logits, before, atol=1e-5, rtol=1e-4)


def test_harness_of_the_readme(demo, text):
    pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness (the extra lm-eval)")
    shutil.copytree(Path(__file__).parents[1] / "recipes" / "configs" / "lm_eval", "recipes/configs/lm_eval")
    Path("held_out.jsonl").write_text(json.dumps({"text": text[0]}) + "\n")
    names: dict = {}
    exec(HARNESS, names)
    assert names["results"]["held_out"]["byte_perplexity,none"] > 1


def test_trainer_of_the_readme(model, tokenizer, blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smaller = TRAIN.replace('PicoConfig.from_size("tiny")', "config").replace("max_steps=1000", "max_steps=1")
    smaller = smaller.replace("n_way=32, k_shot=4", "n_way=4, k_shot=2, word_max_frequency=1, episode_window=8")
    assert smaller.count("config") > TRAIN.count("config")
    exec(smaller, {"config": model.config, "blocks": blocks, "tokenizer": tokenizer})
    assert (tmp_path / "runs/mine/metrics.jsonl").exists()


def test_learning_dynamics_of_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = DynamicsFile(Path("runs/demo/learning_dynamics.jsonl"))
    file.append(100, 7, [Row("proportional_effective_rank", 0.5, "query", "swiglu.w_2", layer) for layer in (0, 1)])
    exec(DYNAMICS, {})
    assert "query      swiglu.w_2  100     0.5" in capsys.readouterr().out
