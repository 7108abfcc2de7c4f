"""Learning dynamics of checkpoint series that this package did not train."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from pico_maml.callbacks import load_dynamics
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.dynamics import command as dynamics
from pico_maml.recipes.dynamics.checkpoint_series import step_of
from pico_maml.recipes.report import command as report
from pico_maml.trainers import InputError

SMALL = {"vocab_size": 400, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
FAMILIES = {
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(**SMALL, intermediate_size=64, num_key_value_heads=2, max_position_embeddings=64),
        ["self_attn.[vo]_proj", "mlp.down_proj"],
    ),
    "gpt_neox": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig(**SMALL, intermediate_size=64),
        ["attention.dense", r"re:mlp\.dense_.*"],
    ),
}


@pytest.fixture(params=sorted(FAMILIES))
def family(request, tokenizer, tmp_path):
    """A folder with three checkpoints of a decoder, and the modules to look at."""
    cls, config, modules = FAMILIES[request.param]
    for step in (0, 1000, 200):
        torch.manual_seed(step)
        cls(config).save_pretrained(tmp_path / "model" / f"step{step}")
    tokenizer.save_pretrained(tmp_path / "model" / "step0")
    return tmp_path / "model", modules


def arguments(folder, output, corpus, modules, *more):
    return [
        *("--model", str(folder), "--output_dir", str(output), "--dataset", corpus, "--block_size", "48"),
        *("--eval_fraction", "0.1", "--eval_blocks", "6", "--dynamics_modules", *modules, *more),
    ]


def test_decoders_of_transformers_are_measured(family, corpus, tmp_path, capsys):
    folder, modules = family
    where = ["--subfolders", *(f"step{step}" for step in (1000, 0, 200)), "--tokens_per_step", "10"]
    where += ["--tokenizer", str(folder / "step0")]
    output = tmp_path / "out"
    assert dynamics.main(arguments(folder, output, corpus, modules, *where)) == [0, 200, 1000]
    assert "step 1000: perplexity" in capsys.readouterr().out
    frame = load_dynamics(output)
    assert frame.step.is_monotonic_increasing
    assert set(frame.tokens) == {0, 2000, 10_000}
    assert {"effective_rank", "cka", "attention_entropy", "perplexity", "bits_per_byte"} <= set(frame.quantity)
    assert set(frame.layer) == {-1, 0, 1}
    assert frame.query("quantity == 'cka' and step == 0").value.tolist() == pytest.approx([1] * 2 * 3, abs=1e-5)
    model = AutoModelForCausalLM.from_pretrained(folder / "step200")
    name = "model.layers.1.mlp.down_proj" if "mlp.down_proj" in modules else "gpt_neox.layers.1.mlp.dense_4h_to_h"
    weight = model.get_submodule(name).weight.detach().double()
    p = torch.linalg.svdvals(weight)
    p = p / p.sum()
    ranks = frame[(frame.quantity == "proportional_effective_rank") & (frame.step == 200) & (frame.layer == 1)]
    assert set(ranks.objective) == {"", "next_token"}
    found = ranks[ranks.objective == ""]
    value = found.set_index("module").value[name.split(".", 3)[-1]]
    assert value == pytest.approx(float((-(p * p.log()).sum()).exp() / len(p)), rel=1e-5)


def test_interrupted_series_continues_with_the_same_result(family, corpus, tmp_path):
    folder, modules = family
    tokenizer = ["--tokenizer", str(folder / "step0")]
    series = ["--subfolders", "step0", "step200", "step1000", *tokenizer]
    whole, part = tmp_path / "whole", tmp_path / "part"
    dynamics.main(arguments(folder, whole, corpus, modules, *series))
    dynamics.main(arguments(folder, part, corpus, modules, "--subfolders", "step0", *tokenizer))
    with (part / "learning_dynamics.jsonl").open("a") as file:
        file.write('{"step": 200, "tok')
    assert dynamics.main(arguments(folder, part, corpus, modules, *series)) == [200, 1000]
    name = "learning_dynamics.jsonl"
    assert (part / name).read_text() == (whole / name).read_text()
    with pytest.raises(
        InputError, match=r"started with other arguments: dynamics_probe_tokens 512 -> 9; .*choose another"
    ):
        dynamics.main(arguments(folder, part, corpus, modules, *series, "--dynamics_probe_tokens", "9"))

    again = tmp_path / "reference"
    dynamics.main(arguments(folder, again, corpus, modules, *series, "--reference", "step1000"))
    frame = load_dynamics(again)
    assert frame.step.is_monotonic_increasing
    assert frame.query("quantity == 'cka'").groupby("step").value.min().round(5).to_dict()[1000] == 1
    assert frame.query("quantity == 'cka' and step == 0").value.max() < 0.99


def test_series_of_an_earlier_version_continues_without_gradients(family, corpus, tmp_path):
    folder, modules = family
    series = ["--tokenizer", str(folder / "step0"), "--subfolders", "step0"]
    old, new = tmp_path / "old", tmp_path / "new"
    dynamics.main(arguments(folder, old, corpus, modules, *series, "--dynamics_gradients", "false"))
    recorded = json.loads((old / "arguments.json").read_text())
    del recorded["dynamics_gradients"]  # which earlier versions did not have
    (old / "arguments.json").write_text(json.dumps(recorded))
    for output in (old, new):
        dynamics.main(arguments(folder, output, corpus, modules, *series, "step200"))
    assert set(load_dynamics(old).objective) == {""}
    assert set(load_dynamics(new).objective) == {"", "next_token"}


def test_a_function_of_the_users_own_is_measured_of_every_matrix(pretrained, held_out, tmp_path, monkeypatch):
    (tmp_path / "my_measures.py").write_text(
        "def largest(matrix):\n    return matrix.abs().max()\n\n"
        "def moved(now, first):\n    return (now - first).shape[0]\n"
    )
    monkeypatch.chdir(tmp_path)
    own = ["my_measures:largest", "attention=my_measures:largest", "my_measures:moved"]
    output = tmp_path / "out"
    dynamics.main(["--model", str(pretrained), "--output_dir", str(output), *held_out, "--dynamics_measures", *own])
    frame = load_dynamics(output)
    last = frame[frame.step == 4].set_index(["quantity", "objective", "module", "layer"]).value
    weights = load_file(pretrained / "checkpoint-4" / "model.safetensors")
    w_2 = weights["pico_decoder.layers.0.swiglu.w_2.weight"]
    assert last["largest", "", "swiglu.w_2", 0] == pytest.approx(w_2.abs().max().item())
    assert {"largest", "activation_largest", "attention_largest", "moved"} <= set(frame.quantity)
    assert frame[frame.quantity == "attention_largest"].value.tolist() == pytest.approx([1] * 4)  # a first token
    page = report.main([str(output), "--output", str(tmp_path / "page"), "--formats", "png"])
    assert "activation largest" in page.read_text()


def test_folder_of_a_run_is_no_output_folder(pretrained, held_out):
    before = (pretrained / "learning_dynamics.jsonl").read_bytes()
    with pytest.raises(InputError, match="was started with other arguments"):
        dynamics.main(["--model", str(pretrained), "--output_dir", str(pretrained), *held_out])
    assert (pretrained / "learning_dynamics.jsonl").read_bytes() == before


def test_checkpoints_of_a_run_give_the_values_of_the_run(pretrained, held_out, tmp_path):
    argv = ["--model", str(pretrained), "--output_dir", str(tmp_path / "out"), *held_out, "--dynamics_ov_circuits"]
    assert dynamics.main(argv) == [2, 4]
    frame, own = load_dynamics(tmp_path / "out"), load_dynamics(pretrained)
    keys = ["quantity", "objective", "module", "layer", "head"]
    last = frame[frame.step == 4].set_index(keys).value
    own = own[own.step == 4].set_index(keys).value
    shared = own.index.intersection(last.index)
    quantities = {"perplexity", "bits_per_byte", "effective_rank", "attention_entropy", "gradient_cosine"}
    assert quantities <= set(shared.get_level_values(0))
    assert {("gradient_norm", "query"), ("effective_rank", "query")} <= {key[:2] for key in shared}
    compared = [key for key in shared if key[0] != "cka"]  # whose references differ
    assert last[compared].tolist() == pytest.approx(own[compared].tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--subfolders", "step0", "--dynamics_modules", "attention.v_proj"],
            "the matrices of this model are self_attn.q_proj",
        ),
        (["--subfolders", "step0", "best"], "no step number in 'best': name the training steps with --steps"),
        (["--subfolders", "step0", "step200", "--steps", "1"], "1 steps for 2 checkpoints"),
        (["--subfolders", "step0", "step200", "--steps", "1", "1"], "step0 and step200 are both step 1"),
        (["--subfolders", "step0", "--revisions", "main"], "give revisions or subfolders, not both"),
        (["--subfolders", "step0", "--reference", "x"], "the reference 'x' is not in the series: step0"),
        (["--subfolders", "step7"], "cannot load a model from"),
        (["--subfolders", "step0", "--block_size", "100"], "block_size is 100, step0 reads 64 tokens"),
        (["--subfolders", "step0", "--batch_size", "-1"], "batch_size must be at least 0"),
    ],
)
def test_wrong_arguments_print_one_line_and_write_nothing(more, message, corpus, tokenizer, tmp_path, capsys):
    cls, config, modules = FAMILIES["llama"]
    cls(config).save_pretrained(tmp_path / "model" / "step0")
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(SystemExit):
        run(lambda: dynamics.main(arguments(tmp_path / "model", tmp_path / "out", corpus, modules, *more)))
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out" / "learning_dynamics.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "step"),
    [("step143000", 143_000), ("step1000-tokens4B", 1000), ("checkpoints/step_100", 100), ("checkpoint-7", 7)],
)
def test_step_is_read_from_a_name(name, step):
    assert step_of(name) == step


def test_name_without_a_step_needs_a_default():
    assert step_of("main", default=0) == 0
    with pytest.raises(InputError, match=r"no step number in 'v1\.2'"):
        step_of("v1.2")
