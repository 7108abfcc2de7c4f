import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pretrain_run import argv
from transformers import AutoModelForCausalLM, AutoTokenizer

from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError

DDP = Path(__file__).parents[3] / "recipes" / "configs" / "accelerate" / "ddp.yaml"


def test_run_writes_model_metrics_results_and_arguments(pretrained):
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


def test_starting_again_is_an_error_and_resume_after_kill_gives_same_weights(pretrained, corpus, tmp_path):
    with pytest.raises(InputError, match="is not empty: choose another output_dir"):
        pretrain.main(argv(pretrained, corpus))
    with pytest.raises(InputError, match="is finished: step 4 of 4; to continue raise max_steps"):
        pretrain.main(argv(pretrained, corpus, resume=True))
    half = tmp_path / "half"
    shutil.copytree(pretrained, half)
    # Killed between the last checkpoint and the results, while it wrote them.
    (half / "results.json").rename(half / ".results.json.7")
    (half / ".unfinished").mkdir()
    (half / "model.safetensors").unlink()
    pretrain.main(argv(half, corpus, resume=True))
    assert {path.name for path in half.iterdir()} == {path.name for path in pretrained.iterdir()}
    assert (half / "model.safetensors").read_bytes() == (pretrained / "model.safetensors").read_bytes()
    assert json.loads((half / "results.json").read_text()) == json.loads((pretrained / "results.json").read_text())
    for name in ("checkpoint-4/model.safetensors", "model.safetensors"):
        (half / name).unlink()
    with pytest.raises(InputError, match="started with other arguments: n_query 1 -> 2, seed 42 -> 7"):
        pretrain.main(argv(half, corpus, resume=True, seed=7, n_query=2))
    results = pretrain.main(argv(half, corpus, resume=True))
    assert results["adaptation_before_training"]["chance"] == 0.25
    assert (half / "model.safetensors").read_bytes() == (pretrained / "model.safetensors").read_bytes()


def test_a_run_of_an_earlier_version_goes_on_with_its_rules_of_episodes_and_its_split(corpus, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    rules = {"held_out_rule": "id", "episode_documents": "any"}
    pretrain.main(argv(whole, corpus, **rules, split_by="row"))
    shutil.copytree(whole, part)
    recorded = json.loads((part / "arguments.json").read_text())
    for name in (*rules, "split_by"):
        del recorded[name]
    (part / "arguments.json").write_text(json.dumps(recorded))
    for name in ("results.json", "model.safetensors", "config.json"):
        (part / name).unlink()
    shutil.rmtree(part / "checkpoint-4")
    pretrain.main(argv(part, corpus, resume=True))
    assert (part / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rules.items() <= json.loads((part / "config.json").read_text())["episode"].items()


def test_stream_is_read_again_from_its_start_and_resumes_in_its_second_pass(corpus, tmp_path):
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
    shutil.copytree(tmp_path / "whole", part)
    (part / "checkpoint-36" / "trainer_state.json").unlink()
    pretrain.main(argv(part, corpus, resume=True, **options))
    assert (part / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_streamed_and_vanilla_runs_count_their_tokens(corpus, tmp_path):
    streamed = pretrain.main(argv(tmp_path / "streamed", corpus, streaming=True))
    assert streamed["steps"] == 4
    vanilla = pretrain.main(argv(tmp_path / "vanilla", corpus, hybrid_ratio=0))
    assert vanilla["episodes"] == 0
    assert vanilla["next_token_tokens"] == vanilla["tokens_seen"] == 4 * 4 * 48


def test_tensorboard_and_offline_wandb_get_metrics_and_final_figure(corpus, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_PROJECT", "WANDB_RUN_GROUP"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tensorboard"))
    arguments = [a for a in argv(tmp_path / "out", corpus) if "eval_episodes" not in a]
    pretrain.main([*arguments, "--eval_episodes=0", "--report_to=tensorboard,wandb"])
    assert list((tmp_path / "tensorboard").rglob("events*"))
    run = wandb.run
    assert (run.project, run.group, run.name) == ("pico-maml", "pico-maml-decoder-tiny", "out")
    assert run.summary["results"]["steps"] == 4
    wandb.finish()
    (offline,) = (tmp_path / "wandb").glob("offline-run-*")
    (image,) = (offline / "files" / "media").rglob("curves*.png")
    assert image.stat().st_size > 1000, "the final figure"
    events = EventAccumulator(str(next((tmp_path / "tensorboard").rglob("events*")).parent)).Reload()
    assert events.Tags()["images"] == ["curves"]
    assert "train/next_token_loss" in events.Tags()["scalars"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_way": 5000}, "n_way is 5000, but a pool of"),
        ({"k_shot": 0}, "k_shot must be at least 1, got 0"),
        ({"block_size": 100_000, "max_seq_len": 100_000}, "fewer than one block of 100001"),
        ({"model_size": "huge"}, "unknown Pico size 'huge'"),
        ({"attention_n_heads": 3}, "attention_n_heads must divide d_model"),
        ({"dataset": "no/such-file.txt"}, "no/such-file.txt"),
        ({"block_size": 65}, "block_size is 65 but max_seq_len is 64"),
        ({"eval_steps": 0.1}, "eval_steps must be a whole number of steps, got 0.1"),
        ({"streaming": True, "max_steps": -1}, "a streamed corpus has no known length: set max_steps"),
        ({"eval_strategy": "steps"}, "eval_dataset"),
        ({"eval_episodes": -1}, "eval_episodes must be at least 0"),
        ({"per_device_eval_batch_size": 0}, "per_device_eval_batch_size must be at least 1, got 0"),
        ({"resume_from_checkpoint": "x"}, "--resume resumes from the newest checkpoint"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor is not supported"),
        ({"eval_fraction": 0}, "eval_fraction must be between 0 and 1"),
        ({"tokenizer": "no/tokenizer"}, "no tokenizer at 'no/tokenizer'"),
        ({"hybrid_mode": "both"}, "hybrid_mode must be one of replace, add, got 'both'"),
        ({"episode_states": "stream"}, "episode_states stream needs hybrid_mode add, got 'replace'"),
        ({"held_out_words": 0.01}, "held-out words of held-out text: n_way is 4, but a pool of"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(changes, message, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        run(lambda: pretrain.main(argv(out, changes.get("dataset", corpus), **changes)))
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()


def test_the_shipped_configuration_starts_two_processes_that_train_on_twice_the_tokens(corpus, tmp_path):
    # `accelerate launch --cpu` would start one process only; this is what a machine with two GPUs does, on gloo.
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(DDP), "--num_processes=2"]
    launch += ["--mixed_precision=no", "--main_process_port=0"]
    command = [sys.executable, *launch, "-m", "pico_maml.recipes.pretrain", *argv(tmp_path / "out", corpus)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["tokens_seen"] == 2 * 4 * 4 * 48, "two processes"
    assert [entry["step"] for entry in results["held_out"]] == [0, 2, 4]
