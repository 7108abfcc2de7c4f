"""One, two and three processes (with uneven shares) and FSDP2 draw the same episodes and end with the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pandas as pd
import pytest
import small_run
import torch
from labelled_tasks import write_tasks
from safetensors.torch import load_file
from small_run import KILLED

from pico_maml.callbacks import load_dynamics

# Rows of a micro-batch over all processes. 5 ways x 2 shots are shared out unevenly by 3, the queries by 2 and by 3.
BATCH = 6
ARGUMENTS = {"max_steps": 8, "learning_rate": 1e-3, "n_way": 5, "k_shot": 2, "n_query": 1, "episode_pool": 24}
VARIANTS = {
    "paper": {},
    "second-order": {
        "first_order": False,
        "learn_inner_lr": True,
        "hybrid_mode": "add",
        "query_loss_weight": 0.3,
        "query_loss_warmup_steps": 3,
    },
    "unwatched": {},
    "prototypes": {
        "meta_algorithm": "proto-maml",
        "head_layers": 1,
        "activation_checkpointing": True,
        "episode_documents": "any",
        "task_files": ["tasks.jsonl"],
        "task_share": 0.5,
        "task_window": 12,
    },
    "stream": {
        "hybrid_mode": "add",
        "episode_states": "stream",
        "readout": "previous",
        "n_way": 3,
        "episode_gradient_share": 0.3,
    },
    "gradient-share": {"episode_gradient_share": 0.3},
    "protonet": {"meta_algorithm": "protonet", "readout": "last", "episode_labels": "shuffled"},
    "random-positions": {"episode_sampler": "random_positions"},
}
CLASSES = {"hybrid_mode": "add", "episode_classes": "clusters", "readout": "word", "class_width": 8}
VARIANTS |= {
    "class-memory": {**CLASSES, "meta_algorithm": "protonet", "class_support": "memory"},
    "class-batch": {**CLASSES, "meta_algorithm": "protonet", "class_layer": 1},
    "class-maml": {**CLASSES, "inner_steps": 3, "class_identity": "permuted"},
}
# Models of other classes, which FSDP2 does not train.
VARIANTS |= {"llama": {"kind": "llama", "hybrid_mode": "add"}}
# Variants with learning dynamics; the first one also runs without.
WATCHED = ["paper", "second-order"]
# Those that accelerate launches: two processes do what three do, which have uneven shares.
LAUNCHED = ["paper", "second-order", "unwatched", "stream", "class-memory"]
# Processes, whether FSDP2 shards the weights over them, and the variants that they train.
RUNS = {
    "one": (1, False, list(VARIANTS)),
    "two": (2, False, LAUNCHED),
    "three": (3, False, list(VARIANTS)),
    "FSDP2 on two": (2, True, [name for name, changes in VARIANTS.items() if "kind" not in changes]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, blocks, tokenizer) -> Path:
    """What every process reads."""
    folder = tmp_path_factory.mktemp("distributed")
    blocks.save_to_disk(folder / "blocks")
    tokenizer.save_pretrained(folder / "tokenizer")
    write_tasks(folder)
    return folder


def prepare(out: Path, world_size: int, fsdp: bool, variants: dict) -> Path:
    """Make the folder of a run, with its settings."""
    out.mkdir()
    batch = {"per_device_train_batch_size": BATCH // world_size}
    variants = {name: {**ARGUMENTS, **changes, **batch} for name, changes in variants.items()}
    settings = {"world_size": world_size, "variants": variants, "fsdp": fsdp, "watched": WATCHED}
    (out / "settings.json").write_text(json.dumps(settings))
    return out


def launch(folder: Path, out: Path) -> tuple[int, str]:
    """Train in two processes of accelerate; returns the exit code and what was written to stderr."""
    command = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0"]
    command = [sys.executable, *command, small_run.__file__, str(folder), str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # a hang leaves nothing running
    return process.returncode, errors


def test_weights_and_episodes_do_not_depend_on_the_processes_and_a_killed_one_ends_the_others(
    folder, config, tmp_path
):
    config.save_pretrained(folder / "config")
    for name, (world_size, fsdp, chosen) in RUNS.items():
        variants = {variant: VARIANTS[variant] for variant in chosen} | ({KILLED: {}} if name == "two" else {})
        out = prepare(tmp_path / name, world_size, fsdp, variants)
        if name != "two":
            forked.run(small_run.main, folder, out, log=tmp_path / "log", processes=world_size)
            continue
        code, errors = launch(folder, out)
        assert code != 0
        assert time.time() - (out / KILLED / "metrics.jsonl").stat().st_mtime < 60, "in the middle of training"
        assert "SIGKILL" in errors
        assert not (out / KILLED / "weights.safetensors").exists()
        assert (out / LAUNCHED[-1] / "weights.safetensors").exists(), errors[-8000:]
    for variant in VARIANTS:
        found = {}
        for name, (world_size, _, chosen) in RUNS.items():
            if variant not in chosen:
                continue
            out = tmp_path / name / variant
            episodes = [json.loads((out / f"episodes-{rank}.json").read_text()) for rank in range(world_size)]
            assert all(seen == episodes[0] for seen in episodes), "every process draws the same episodes"
            logs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
            adaptation = json.loads((out / "adaptation.json").read_text())
            found[name] = load_file(out / "weights.safetensors"), episodes[0], logs, adaptation
        if variant in WATCHED:
            compare_dynamics({name: load_dynamics(tmp_path / name / variant) for name in RUNS}, variant)
        weights, episodes, logs, adaptation = found.pop("one")
        assert 3 < len(episodes) < 16, "a mixed run"
        assert len(set(episodes)) > 3
        for name, (same, same_episodes, same_logs, same_adaptation) in found.items():
            for measured, other in zip(adaptation, same_adaptation, strict=True):
                for head in ("fresh",) if measured["trained"] is None else ("fresh", "trained"):
                    curve, other_curve = ([point["mean"] for point in a[head]] for a in (measured, other))
                    # One of the 35 queries may fall the other way where two classes score the same to 1e-5.
                    assert other_curve == pytest.approx(curve, abs=0.03), (variant, name, head)
            assert same_episodes == episodes, (variant, name)
            for key, weight in weights.items():
                where = (variant, name, key)
                # Sums in another order, of which Adam makes more where a gradient is next to 0: on some processors
                # one weight of thousands differs by 2e-5.
                torch.testing.assert_close(same[key], weight, atol=5e-5, rtol=0, msg=lambda m, w=where: f"{w}: {m}")
            for entry, other in zip(logs, same_logs, strict=True):
                keys = ["next_token_loss", "query_loss", "query_accuracy", "support_accuracy", "episodes"]
                for key in [*keys, "task_query_loss", "task_query_accuracy", "task_episodes"]:
                    assert entry.get(key) == pytest.approx(other.get(key), abs=1e-3), (variant, name, key)

    for name in RUNS:
        plain, watched = (load_file(tmp_path / name / v / "weights.safetensors") for v in ("unwatched", "paper"))
        # Under FSDP2 any forward pass before the first step, as of a held-out perplexity, changes the last bits.
        tolerance = 5e-5 if "FSDP2" in name else 0
        for key in plain:
            torch.testing.assert_close(watched[key], plain[key], atol=tolerance, rtol=0)


def compare_dynamics(frames: dict[str, pd.DataFrame], variant: str) -> None:
    """Every run has the same rows."""
    keys = ["step", "tokens", "quantity", "objective", "module", "layer", "head"]
    one = frames.pop("one").set_index(keys).value
    assert one.index.is_unique
    assert set(one.index.get_level_values("step")) == {0, 4, 8}
    assert {"next_token", "query", ""} == set(one.index.get_level_values("objective"))
    assert {"gradient_norm", "gradient_cosine"} <= set(one.index.get_level_values("quantity"))
    for name, frame in frames.items():
        other = frame.set_index(keys).value
        pd.testing.assert_series_equal(other.sort_index(), one.sort_index(), rtol=5e-3, obj=f"{variant}, {name}")
