"""`pretrain --init_from` goes on from a language model of any class, and every command reads the run."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from any_model import any_model
from pretrain_run import SMALL, argv
from safetensors.torch import load_file
from same_run import logs, same, state
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, Qwen2ForCausalLM, T5Config

from pico_maml.callbacks import load_dynamics
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.replay import command as replay
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.reader import load_run

SHAPE = ("d_model", "n_layers", "attention_n_heads", "attention_n_kv_heads", "activation_hidden_dim")
OPTIONS = {name: value for name, value in SMALL.items() if name not in (*SHAPE, "vocab_size", "max_seq_len")}
OPTIONS |= {"readout": "previous", "console": "quiet", "dynamics_steps": 2}
MODULES = ["--dynamics_modules", "attn.c_proj", "mlp.c_proj"]
CLASSES = {"episode_classes": "clusters", "class_count": 8, "readout": "word", "hybrid_mode": "add"}
CLASSES |= {"dynamics_steps": 0, "eval_episodes": 0, "max_steps": 2, "class_layer": 1}


def arguments(folder, corpus, base, *more, **changes) -> list[str]:
    options = OPTIONS | {"output_dir": folder, "dataset": corpus, "init_from": base} | changes
    return [*(f"--{name}={value}" for name, value in options.items()), *more]


@pytest.fixture(scope="module")
def gpt2(tokenizer, tmp_path_factory):
    """A GPT-2 whose tokenizer has no mask token, nor its embedding a row for one."""
    folder = tmp_path_factory.mktemp("base") / "gpt2"
    tokenizer.save_pretrained(folder)
    for file in folder.glob("*.json"):
        file.write_text(file.read_text().replace('"mask_token"', '"unknown"').replace("[MASK]", "[OTHER]"))
    any_model("gpt2", len(tokenizer)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory) -> Path:
    """The configuration of a model that is no causal one."""
    folder = tmp_path_factory.mktemp("base") / "t5"
    T5Config(num_layers=1).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(gpt2, corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    pretrain.main(arguments(folder, corpus, gpt2, *MODULES))
    return folder


def test_folder_loads_as_the_class_that_it_was_with_its_tokenizer(run, gpt2):
    model = AutoModelForCausalLM.from_pretrained(run)
    assert type(model) is GPT2LMHeadModel
    before = GPT2LMHeadModel.from_pretrained(gpt2)
    assert not torch.equal(model.transformer.wte.weight, before.transformer.wte.weight)
    assert model.transformer.wte.weight.shape == before.transformer.wte.weight.shape
    assert AutoTokenizer.from_pretrained(run).get_vocab() == AutoTokenizer.from_pretrained(gpt2).get_vocab()
    results = json.loads((run / "results.json").read_text())
    assert results["adaptation"]["trained"]
    assert results["adaptation_before_training"]


def test_resumed_run_and_branch_that_changes_nothing_are_the_run_bitwise(run, gpt2, corpus, tmp_path):
    shutil.copytree(run, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "checkpoint-4")
    (tmp_path / "part" / "results.json").unlink()
    pretrain.main(arguments(tmp_path / "part", corpus, gpt2, *MODULES, "--resume"))
    branch = {"branch_from": run / "checkpoint-2", "eval_episodes": 0}
    pretrain.main(arguments(tmp_path / "branch", corpus, gpt2, *MODULES, **branch))
    assert logs(tmp_path / "part") == logs(run)
    whole = state(run / "checkpoint-4")
    part = state(tmp_path / "part" / "checkpoint-4")
    assert [name for name in whole if not same(whole[name], part[name])] == []
    for name in ("model.safetensors", "meta_head.safetensors"):
        files = [folder / "checkpoint-4" / name for folder in (run, tmp_path / "part", tmp_path / "branch")]
        assert len({file.read_bytes() for file in files}) == 1, name


def test_evaluate_dynamics_replay_and_report_read_the_run(run, tmp_path, capsys):
    shape = ["--episodes=2", "--n_way", "4", "--k_shot", "2"]
    results = evaluate.main([f"--model={run}", "--eval_blocks=24", *shape])
    held_out = json.loads((run / "results.json").read_text())["held_out"][-1]
    assert results["next_token_loss"] == pytest.approx(held_out["eval_next_token_loss"], abs=1e-6)
    assert results["adaptation"][0]["trained"], "the head was found"
    replay.main([f"--run={run}", "--steps", "1", "2"])
    assert "query, document" in capsys.readouterr().out
    dynamics.main([f"--model={run}", f"--output_dir={tmp_path / 'series'}", *MODULES])
    quantities = set(load_dynamics(run)["quantity"])
    assert {"effective_rank", "attention_entropy", "gradient_cosine", "head_weight_norm"} <= quantities
    data = load_run(run, "run")
    assert data.cost is None
    assert "FLOPs unknown: the formula counts Pico models, not gpt2" in data.notes


def test_a_run_that_starts_from_another_has_its_head(run, corpus, tmp_path):
    options = {"dynamics_steps": 0, "max_steps": 1, "hybrid_ratio": 0, "learning_rate": 0, "eval_steps": 1}
    pretrain.main(arguments(tmp_path / "run", corpus, run, **options))
    heads = [load_file(folder / "meta_head.safetensors") for folder in (run, tmp_path / "run")]
    assert same(*heads)


def test_class_episodes_train_a_model_with_room_for_a_mask_token(tokenizer, corpus, tmp_path):
    tokenizer.save_pretrained(tmp_path / "qwen")
    any_model("qwen2", len(tokenizer) + 8).save_pretrained(tmp_path / "qwen")
    pretrain.main(arguments(tmp_path / "run", corpus, tmp_path / "qwen", **CLASSES))
    assert any("query_loss" in entry for entry in logs(tmp_path / "run"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    assert type(model) is Qwen2ForCausalLM
    assert model.config.vocab_size == len(tokenizer) + 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readout": "mask"}, "readout mask and last need a mask token"),
        ({"d_model": 96}, r"the shape of a new Pico \(d_model\) has no effect on init_from .*, a gpt2"),
        ({"block_size": 65}, "block_size is 65 but the longest text of .* is 64"),
        (
            {"dynamics_modules": "attention.v_proj"},
            "the matrices of this model are attn.c_attn, .* --dynamics_steps 0",
        ),
        ({"init_from": "missing/model"}, "cannot load a model from 'missing/model'"),
        ({"init_from": "t5"}, "is a t5, of which transformers has no causal language model"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(gpt2, t5, corpus, tmp_path, changes, message):
    changes = changes | ({"init_from": t5} if changes.get("init_from") == "t5" else {})
    modules = [] if "dynamics_modules" in changes else MODULES
    with pytest.raises(InputError, match=message):
        pretrain.main(arguments(tmp_path / "run", corpus, gpt2, *modules, **changes))
    assert not (tmp_path / "run").exists()


def test_branch_from_another_kind_of_model_is_an_error(run, corpus, tmp_path):
    with pytest.raises(InputError, match=r"cannot change .*init_from .* -> None"):
        pretrain.main(argv(tmp_path / "run", corpus, branch_from=run / "checkpoint-2", dynamics_steps=0))
