"""Learning dynamics of a pretraining run: they do not change the run, and a resumed run continues its curves."""

import json
import shutil

import pandas as pd
import pytest
from pretrain_run import argv
from safetensors.torch import load_file

from pico_maml.callbacks import load_dynamics
from pico_maml.callbacks.measures.sparsity import gini
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.pretrain import command as pretrain

OWN = ["--dynamics_measures", "gini", "pwcca"]
OPTIONS = {"max_steps": 6, "save_steps": 3, "dynamics_steps": 2, "eval_steps": 3, "gradient_accumulation_steps": 2}
KEYS = ["step", "quantity", "objective", "module", "layer", "head", "source"]


@pytest.fixture(scope="module")
def measured(corpus, tmp_path_factory):
    """A run with everything measured."""
    folder = tmp_path_factory.mktemp("dynamics") / "run"
    pretrain.main(argv(folder, corpus, dynamics_ov_circuits=True, **OPTIONS) + OWN)
    return folder


def test_run_measures_every_quantity_at_its_steps(measured):
    frame = load_dynamics(measured)
    assert not frame.duplicated(KEYS).any()
    ranks = {f"{kind}{share}effective_rank" for kind in ("", "activation_") for share in ("", "proportional_")}
    head = {f"head_weight_{name}" for name in ("mean", "std", "norm", "norm_adapted")}
    entropies = {"attention_entropy", "attention_entropy_normalised"}
    relations = {"gradient_norm", "gradient_cosine"}
    own = {"gini", "activation_gini", "pwcca"}
    assert set(frame.quantity) == {*ranks, *head, *entropies, *relations, *own, "cka", "perplexity", "bits_per_byte"}
    assert set(frame[frame.objective == "query"].step) == {0, 2, 4, 6}
    assert set(frame[frame.quantity == "cka"].step) == {0, 2, 4, 6}
    assert set(frame[frame.quantity == "perplexity"].step) == {0, 3, 6}
    assert set(frame.module) == {
        *("", "meta_head", "ov_circuit"),
        *("attention.v_proj", "attention.o_proj", "swiglu.w_2"),
    }
    assert frame[frame.quantity == "cka"].query("step == 0").value.tolist() == pytest.approx([1] * 3, abs=1e-6)
    shares = frame[frame.quantity.str.contains("proportional|normalised|cka")].value
    assert shares.between(0, 1 + 1e-6).all()
    assert (frame.tokens == frame.step * 2 * 4 * 48).all()
    assert frame.value.notna().all()
    logs = [json.loads(line) for line in (measured / "metrics.jsonl").read_text().splitlines()]
    assert any("cka/swiglu.w_2" in entry and "attention_entropy" in entry for entry in logs)


def test_measures_that_are_named_are_those_of_the_same_matrices(measured):
    frame = load_dynamics(measured).query("step == 6")
    weights = load_file(measured / "checkpoint-6" / "model.safetensors")
    ginis = frame[frame.quantity == "gini"].set_index(["objective", "module"]).value
    for module in ("attention.v_proj", "swiglu.w_2"):
        expected = gini(weights[f"pico_decoder.layers.0.{module}.weight"])
        assert ginis["", module] == pytest.approx(expected, rel=1e-6)
    assert {"next_token", "query"} <= set(ginis.index.get_level_values(0))
    assert frame[frame.quantity == "pwcca"].value.between(0.5, 1).all()


def test_measuring_leaves_the_weights_bitwise_equal(measured, corpus, tmp_path):
    plain = tmp_path / "plain"
    pretrain.main(argv(plain, corpus, **OPTIONS | {"dynamics_steps": 0}))
    for name in ("model.safetensors", "checkpoint-3/model.safetensors", "checkpoint-6/optimizer.pt"):
        assert (plain / name).read_bytes() == (measured / name).read_bytes(), name
    assert not (plain / "checkpoint-3" / "learning_dynamics").exists()
    assert set(load_dynamics(measured).columns) >= set(KEYS)


def test_resumed_run_has_the_same_curves_without_gaps_or_duplicates(measured, corpus, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(measured, half)
    shutil.rmtree(half / "checkpoint-6")
    (half / "model.safetensors").unlink()
    with (half / "learning_dynamics.jsonl").open("a") as file:
        file.write('{"step": 6, "tokens": 1, "ro')
    pretrain.main(argv(half, corpus, resume=True, dynamics_ov_circuits=True, **OPTIONS) + OWN)
    assert (half / "learning_dynamics.jsonl").read_bytes() == (measured / "learning_dynamics.jsonl").read_bytes()
    for name in ("curves.parquet", "spectra.safetensors", "reference.safetensors"):
        part, whole = (folder / "checkpoint-6" / "learning_dynamics" / name for folder in (half, measured))
        assert part.read_bytes() == whole.read_bytes(), name

    # A checkpoint that was downloaded, without the run around it.
    (half / "learning_dynamics.jsonl").unlink()
    shutil.rmtree(half / "checkpoint-6")
    pretrain.main(argv(half, corpus, resume=True, dynamics_ov_circuits=True, **OPTIONS) + OWN)
    pd.testing.assert_frame_equal(
        load_dynamics(half).sort_values(KEYS, ignore_index=True),
        load_dynamics(measured).sort_values(KEYS, ignore_index=True),
    )


def test_checkpoint_holds_curves_and_spectra_up_to_its_step(measured):
    frame = load_dynamics(measured)
    plain = pd.read_parquet(measured / "checkpoint-3" / "learning_dynamics" / "curves.parquet")
    pd.testing.assert_frame_equal(plain, frame[frame.step <= 3].reset_index(drop=True), check_dtype=False)
    weights = load_file(measured / "checkpoint-3" / "model.safetensors")
    spectra = load_file(measured / "checkpoint-3" / "learning_dynamics" / "spectra.safetensors")
    matrix = weights["pico_decoder.layers.0.attention.o_proj.weight"]
    assert spectra["weight/0/attention.o_proj"].tolist() == pytest.approx(matrix.svd().S.tolist(), rel=1e-4, abs=1e-6)
    assert {name.split("/")[0] for name in spectra} == {"weight"}, "step 3 is not a measured one"
    last = load_file(measured / "checkpoint-6" / "learning_dynamics" / "spectra.safetensors")
    assert {name.split("/")[0] for name in last} >= {"weight", "next_token_gradient"}
    assert len(spectra["weight/0/ov_circuit/0"]) == 16


def test_perplexity_is_logged_for_each_source_file_and_column_value(corpus, text, tmp_path):
    rows = [json.dumps({"text": line, "domain": f"d{i % 2}"}) for i, line in enumerate(text[:20])]
    (tmp_path / "both.jsonl").write_text("\n".join(rows))
    (tmp_path / "books.txt").write_text(text[30])
    sources = {"eval_dataset": tmp_path / "both.jsonl", "eval_source_column": "domain", "console": "quiet"}
    pretrain.main(argv(tmp_path / "run", corpus, eval_sources=tmp_path / "books.txt", **sources))
    frame = load_dynamics(tmp_path / "run").query("quantity in ['perplexity', 'bits_per_byte']")
    assert set(frame.source) == {"", "d0", "d1", "books"}
    assert frame.groupby("source").size().tolist() == [6] * 4
    assert frame[frame.quantity == "bits_per_byte"].value.between(1, 10).all()
    logs = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "eval_bits_per_byte/d1" in logs


def test_console_json_prints_lines_and_quiet_prints_nothing(corpus, tmp_path, capsys):
    pretrain.main(argv(tmp_path / "json", corpus, console="json"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines if "grad_norm" in line] == [2, 4]
    assert lines[0]["max_steps"] == 4
    pretrain.main(argv(tmp_path / "quiet", corpus, console="quiet"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step" not in captured.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dynamics_modules": "attention.x"}, "dynamics_modules or dynamics_layers: no module matches 'attention.x'"),
        ({"dynamics_layers": 1}, "there is no layer 1: the model has 1"),
        ({"dynamics_steps": -1}, "dynamics_steps must be at least 0, got -1"),
        ({"dynamics_probe_rows": -1}, "dynamics_probe_rows must be at least 0"),
        ({"dynamics_probe_tokens": 1}, "dynamics_probe_tokens must be at least 2, got 1"),
        (
            {"dynamics_modules": "swiglu.*", "dynamics_ov_circuits": True},
            "needs o_proj and v_proj in dynamics_modules",
        ),
        ({"dynamics_measures": "nothing:here"}, "dynamics_measures: cannot load 'nothing:here'"),
        ({"dynamics_measures": "math:sqrt"}, "dynamics_measures: sqrt makes no number"),
        ({"console": "loud"}, "console must be one of bar, quiet, json, got 'loud'"),
        ({"eval_source_column": "domain"}, "eval_source_column names a column of eval_dataset: set that too"),
        ({"eval_sources": "no/such.txt"}, "no/such.txt"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(changes, message, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        run(lambda: pretrain.main(argv(out, corpus, **changes)))
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()
