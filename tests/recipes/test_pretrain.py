import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from pico_maml.recipes import demo, evaluate, export, finetune, pretrain
from pico_maml.trainers import InputError

SMALL = {
    "d_model": 32,
    "n_layers": 1,
    "attention_n_heads": 2,
    "attention_n_kv_heads": 1,
    "activation_hidden_dim": 64,
    "vocab_size": 400,
    "max_seq_len": 64,
    "block_size": 48,
    "eval_blocks": 24,
    "held_out_words": 0.3,
    "eval_fraction": 0.1,
    "eval_episodes": 2,
    "max_steps": 4,
    "per_device_train_batch_size": 4,
    "logging_steps": 2,
    "eval_steps": 2,
    "save_steps": 2,
    "n_way": 4,
    "k_shot": 2,
    "episode_window": 8,
    "word_max_frequency": 1,
    "use_cpu": True,
    "disable_tqdm": True,
}


def argv(output_dir, corpus, **changes) -> list[str]:
    options = SMALL | {"output_dir": output_dir, "dataset": corpus} | changes
    return [f"--{name}={value}" for name, value in options.items()]


@pytest.fixture(scope="module")
def corpus(text, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n\n".join(text))
    return str(path)


@pytest.fixture(scope="module")
def pretrained(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    pretrain.main(argv(folder, corpus))
    return folder


def test_a_run_leaves_model_metrics_results_and_arguments(pretrained):
    model = AutoModelForCausalLM.from_pretrained(pretrained)
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    assert model.generate(**tokenizer("ab cd", return_tensors="pt"), max_new_tokens=3).shape[1] > 3
    results = json.loads((pretrained / "results.json").read_text())
    assert [entry["step"] for entry in results["held_out"]] == [0, 2, 4]
    assert results["adaptation"]["episodes"] == 2
    assert results["adaptation_before_training"]["chance"] == 0.25
    assert json.loads((pretrained / "arguments.json").read_text())["n_way"] == 4
    entries = [json.loads(line) for line in (pretrained / "metrics.jsonl").read_text().splitlines()]
    assert {"eval_perplexity", "next_token_loss", "head_weight_std"} <= {name for entry in entries for name in entry}
    assert AutoModelForCausalLM.from_pretrained(pretrained / "checkpoint-2").config.vocab_size == 400


def test_the_same_run_again_refuses_and_resume_goes_on(pretrained, corpus, tmp_path):
    with pytest.raises(InputError, match="is not empty: choose another output_dir"):
        pretrain.main(argv(pretrained, corpus))
    with pytest.raises(InputError, match="nothing to resume"):
        pretrain.main(argv(tmp_path / "new", corpus, resume=True))
    with pytest.raises(InputError, match="is finished: step 4 of 4; to go on raise max_steps"):
        pretrain.main(argv(pretrained, corpus, resume=True))
    half = tmp_path / "half"
    pretrain.main(argv(half, corpus))
    for name in ("checkpoint-4/model.safetensors", "model.safetensors"):
        (half / name).unlink()
    with pytest.raises(InputError, match="started with other arguments: n_query 1 -> 2, seed 42 -> 7"):
        pretrain.main(argv(half, corpus, resume=True, seed=7, n_query=2))
    results = pretrain.main(argv(half, corpus, resume=True))
    assert results["adaptation_before_training"]["chance"] == 0.25
    assert (half / "model.safetensors").read_bytes() == (pretrained / "model.safetensors").read_bytes()


def test_a_stream_that_ends_starts_again_and_resumes_in_its_second_pass(corpus, tmp_path):
    options = {
        "streaming": True,
        "gradient_accumulation_steps": 2,
        "max_steps": 36,
        "save_steps": 34,
        "eval_steps": 36,
    }
    whole = pretrain.main(argv(tmp_path / "whole", corpus, **options))
    assert whole["tokens_seen"] == 36 * 2 * 4 * 48, "every step has both of its micro-batches"
    blocks = 80 * 151 / 48
    assert blocks < 34 * 2 * 4, "the checkpoint lies in the second pass"
    part = tmp_path / "part"
    pretrain.main(argv(part, corpus, **options))
    (part / "checkpoint-36" / "trainer_state.json").unlink()
    pretrain.main(argv(part, corpus, resume=True, **options))
    assert (part / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_streaming_and_vanilla(corpus, tmp_path):
    streamed = pretrain.main(argv(tmp_path / "streamed", corpus, streaming=True))
    assert streamed["steps"] == 4
    vanilla = pretrain.main(argv(tmp_path / "vanilla", corpus, hybrid_ratio=0))
    assert vanilla["episodes"] == 0
    assert vanilla["next_token_tokens"] == vanilla["tokens_seen"] == 4 * 4 * 48


def test_tensorboard_and_offline_wandb(corpus, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tensorboard"))
    arguments = [a for a in argv(tmp_path / "out", corpus) if "eval_episodes" not in a]
    pretrain.main([*arguments, "--eval_episodes=0", "--report_to=tensorboard,wandb"])
    assert list((tmp_path / "tensorboard").rglob("events*"))
    assert list((tmp_path / "wandb").glob("offline-run-*"))


@pytest.fixture
def held_out(corpus) -> list[str]:
    """Arguments of the held-out text that the run evaluated on."""
    return ["--dataset", corpus, "--block_size=48", "--eval_blocks=24", "--eval_fraction=0.1"]


def test_evaluate_repeats_the_figures_of_the_run(pretrained, held_out, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    common = ["--model", str(pretrained), *held_out, "--output_file", str(out), "--seed=42"]
    results = evaluate.main([*common, "--episodes=2"])
    run = json.loads((pretrained / "results.json").read_text())
    assert results["perplexity"] == pytest.approx(run["held_out"][-1]["eval_perplexity"], rel=1e-5)
    assert results["adaptation"] == [run["adaptation"]]
    assert json.loads(out.read_text()) == results
    with pytest.raises(InputError, match="block_size is 65, the model reads 64 tokens"):
        evaluate.main([*common, "--block_size=65"])


def test_evaluate_sweeps_over_ways_and_shots(pretrained, held_out, capsys):
    arguments = ["--model", str(pretrained), *held_out, "--episodes=8", "--inner_steps=3", "--words=all"]
    results = evaluate.main([*arguments, "--n_way", "2", "4", "6", "--k_shot", "1", "3"])
    shapes = [(entry["n_way"], entry["k_shot"]) for entry in results["adaptation"]]
    assert shapes == [(2, 1), (2, 3), (4, 1), (4, 3), (6, 1), (6, 3)]
    for entry in results["adaptation"]:
        assert len(entry["fresh"]) == 4, "accuracy after 0 to 3 inner steps"
        assert (entry["trained"] is None) is (entry["n_way"] > 4), "the run's head has 4 classes"
        assert entry["prototypes"]["low"] <= entry["prototypes"]["mean"] <= entry["prototypes"]["high"]
    assert "Query accuracy on all words, 95 % intervals over 8 episodes" in capsys.readouterr().out


def test_an_export_is_evaluated_with_a_fresh_head(pretrained, held_out, tmp_path):
    hub = tmp_path / "hub"
    export.main(["--model", str(pretrained), "--format", "hub", "--output_dir", str(hub)])
    results = evaluate.main(["--model", str(hub), *held_out, "--episodes=2", "--seed=42"])
    (entry,) = results["adaptation"]
    assert entry["trained"] is None
    run = json.loads((pretrained / "results.json").read_text())["adaptation"]
    assert entry["prototypes"] == run["prototypes"], "the same episodes, the same backbone"


def test_published_layouts_are_evaluated_in_their_subfolder(pretrained, held_out, tmp_path):
    step = tmp_path / "hub" / "checkpoints" / "step_1"
    export.main(["--model", str(pretrained), "--format", "published", "--output_dir", str(step)])
    arguments = ["--model", str(tmp_path / "hub"), "--subfolder=checkpoints/step_1", *held_out, "--episodes=2"]
    shape = ["--n_way", "4", "--k_shot", "2", "--episode_window=8", "--word_max_frequency=1"]
    with pytest.raises(InputError, match="no tokenizer at"):
        evaluate.main([*arguments, *shape])
    results = evaluate.main([*arguments, *shape, "--tokenizer", str(pretrained), "--words=all"])
    assert results["adaptation"][0]["trained"] is None
    expected = evaluate.main(["--model", str(pretrained), *held_out, "--episodes=0"])
    assert results["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-5)


def test_evaluation_of_a_vanilla_model_has_no_trained_head(corpus, held_out, tmp_path):
    pretrain.main(argv(tmp_path / "out", corpus, hybrid_ratio=0, eval_episodes=0))
    (entry,) = evaluate.main(["--model", str(tmp_path / "out"), *held_out, "--episodes=2"])["adaptation"]
    assert entry["trained"] is None
    assert len(entry["fresh"]) == 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--words=some"], "words must be one of held_out, training, all, got 'some'"),
        (["--episodes=-1"], "episodes must be at least 0, got -1"),
        (["--batch_size=0"], "batch_size must be at least 1, got 0"),
        (["--n_way", "90"], "held_out words of held-out text: n_way is 90, but a pool of 20 blocks holds"),
        (["--n_way", "1"], "n_way must be at least 2, got 1"),
        (["--held_out_words=0"], "holds 0 words with"),
        (["--held_out_words=0.6"], "training held out 0.3: the other words were classes in training"),
        (["--seed=-1"], "seed must be at least 0, got -1"),
        (["--readout=first"], "readout must be one of mask, previous, last, got 'first'"),
    ],
)
def test_evaluations_that_make_no_sense(changes, message, pretrained, held_out):
    with pytest.raises(InputError, match=message):
        evaluate.main(["--model", str(pretrained), *held_out, *changes])


def test_finetune_on_the_sample_and_use_the_result(pretrained, tmp_path, capsys):
    out = tmp_path / "ner"
    options = ["--num_train_epochs=1", "--use_cpu", "--disable_tqdm=true", "--learning_rate=1e-3"]
    arguments = ["--model", str(pretrained), "--treebank", "sample", "--output_dir", str(out), *options]
    results = finetune.main(arguments)
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(results))
    assert results["sentences"] == {"train": 240, "validation": 80, "test": 80}
    assert {"PER", "ORG", "LOC"} == set(results["scores"]["test"]["classes"])
    assert not list(out.glob("checkpoint-*"))
    assert "test: F1" in capsys.readouterr().out
    tagger = pipeline("token-classification", str(out))
    assert {entity["entity"] for entity in tagger("Mara went to Norburg")} <= set(tagger.model.config.label2id)
    with pytest.raises(InputError, match="is not empty"):
        finetune.main(arguments)


def test_finetune_head_only_on_universal_ner_files(pretrained, shared, tmp_path):
    options = ["--num_train_epochs=1", "--use_cpu", "--disable_tqdm=true", "--mode=head"]
    source = ["--treebank", "sv_talbanken", "--uner_dir", str(shared / "uner")]
    results = finetune.main(["--model", str(pretrained), *source, "--output_dir", str(tmp_path / "ner"), *options])
    assert results["scores"]["test"]["support"] == 132 + 31 + 33
    assert results["truncated_words"]["train"] > 0  # this model reads 64 tokens


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_way": 5000}, "n_way is 5000, but a pool of"),
        ({"k_shot": 0}, "k_shot must be at least 1, got 0"),
        ({"block_size": 100_000, "max_seq_len": 100_000}, "fewer than one block of 100001"),
        ({"model_size": "huge"}, "unknown Pico size 'huge'"),
        ({"attention_n_heads": 3}, "attention_n_heads must divide d_model"),
        ({"dataset": "no/such-file.txt"}, "no/such-file.txt"),
        ({"block_size": 65}, "block_size is 65, but max_seq_len 64"),
        ({"eval_steps": 0.1}, "eval_steps must be a whole number of steps, got 0.1"),
        ({"streaming": True, "max_steps": -1}, "say with max_steps where to stop"),
        ({"eval_strategy": "steps"}, "eval_dataset"),
        ({"eval_episodes": -1}, "eval_episodes must be at least 0"),
        ({"per_device_eval_batch_size": 0}, "per_device_eval_batch_size must be at least 1, got 0"),
        ({"resume_from_checkpoint": "x"}, "--resume goes on from the newest checkpoint"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor is not supported"),
        ({"eval_fraction": 0}, "eval_fraction must be between 0 and 1"),
        ({"tokenizer": "no/tokenizer"}, "no tokenizer at 'no/tokenizer'"),
        ({"hybrid_mode": "both"}, "hybrid_mode must be one of replace, add, got 'both'"),
        ({"episode_states": "stream"}, "episode_states stream needs hybrid_mode add, got 'replace'"),
        ({"held_out_words": 0.01}, "held-out words of held-out text: n_way is 4, but a pool of"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(changes, message, corpus, tmp_path, capsys):
    from pico_maml.recipes.arguments import run

    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        run(lambda: pretrain.main(argv(out, changes.get("dataset", corpus), **changes)))
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()


def test_missing_models():
    with pytest.raises(InputError, match="cannot load a model from 'no/model'"):
        evaluate.main(["--model", "no/model"])
    with pytest.raises(InputError, match="no tokenizer at 'no/model'"):
        finetune.main(["--model", "no/model", "--treebank", "sample"])


def test_two_processes_through_accelerate(corpus, tmp_path):
    # `accelerate launch --cpu` would start one process only; this is what a machine with two GPUs does, on gloo.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0"]
    command = [sys.executable, *launch, "-m", "pico_maml.recipes.pretrain", *argv(tmp_path / "out", corpus)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["tokens_seen"] == 2 * 4 * 4 * 48, "two processes"
    assert [entry["step"] for entry in results["held_out"]] == [0, 2, 4]


def test_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.main(["--max_steps=2", "--eval_episodes=1", "--disable_tqdm=true"])
    out = capsys.readouterr().out
    assert "Done in" in out
    assert "query accuracy" in out
    assert "It writes: The function returns" in out
    assert torch.isfinite(AutoModelForCausalLM.from_pretrained("runs/demo").get_input_embeddings().weight).all()
    assert demo.free_folder(Path("runs/demo")) == Path("runs/demo-2")
