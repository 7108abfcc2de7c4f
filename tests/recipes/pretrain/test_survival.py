"""Runs that are killed or preempted, from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from killed_run import run_killed, run_whole
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.checkpoints import damages

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "pico_maml.recipes.pretrain"]
KINDS = {
    "mapped": {},
    "streamed": {"streaming": True, "shuffle_blocks": 20, "dataloader_num_workers": 2},
}
TIMED = {"tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
TIMED |= {"training_cpu_seconds", "sampling_cpu_seconds", "other_cpu_seconds"}


def differences(whole: Path, part: Path, steps: int) -> list[str]:
    """Names of the files that differ between two finished runs, times in them apart."""
    last = f"checkpoint-{steps}"
    names = ("model.safetensors", f"{last}/model.safetensors", f"{last}/maml_state.safetensors")
    differing = [name for name in names if (whole / name).read_bytes() != (part / name).read_bytes()]
    states = [torch.load(folder / last / "optimizer.pt", weights_only=True)["state"] for folder in (whole, part)]
    if any(not torch.equal(states[0][i][name], states[1][i][name]) for i in states[0] for name in states[0][i]):
        differing.append("optimizer.pt")
    logs = []
    for folder in (whole, part):
        entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        # The summary of the run's time is missing if the very end was killed.
        logs.append([{k: v for k, v in e.items() if k not in TIMED} for e in entries if "train_runtime" not in e])
    differing += ["metrics.jsonl"] * (logs[0] != logs[1])
    if json.loads((whole / "results.json").read_text()) != json.loads((part / "results.json").read_text()):
        differing.append("results.json")
    files = [{path.name for path in folder.iterdir()} for folder in (whole, part)]
    return differing + sorted(files[0] ^ files[1])


@pytest.mark.parametrize(
    ("processes", "kind", "kills", "steps"),
    [
        (1, "streamed", 3, 8),
        (2, "mapped", 3, 8),
        *(pytest.param(n, kind, 12, 40, marks=pytest.mark.slow) for n in (1, 2) for kind in KINDS),
    ],
)
def test_run_killed_again_and_again_ends_like_one_that_was_not(processes, kind, kills, steps, text, tmp_path):
    (tmp_path / "corpus").mkdir()
    for shard in range(4):
        (tmp_path / "corpus" / f"{shard}.txt").write_text("\n\n".join(text[shard::4]))
    options = KINDS[kind] | {"max_steps": steps, "per_device_train_batch_size": 4 // processes}
    options |= {"save_steps": 1, "save_total_limit": 3, "logging_steps": 1, "eval_steps": 8}
    whole, part, corpus = tmp_path / "whole", tmp_path / "part", str(tmp_path / "corpus")
    seconds = run_whole(whole, corpus, processes, options)
    tally = run_killed(part, corpus, processes, options, kills, seconds)
    print(f"{kind}, {processes} process(es): {tally}")
    assert tally.kills == kills
    assert tally.hangs == 0, part.with_suffix(".log").read_text()[-6000:]
    assert differences(whole, part, steps) == []


def test_signal_to_one_of_two_processes_saves_on_both(corpus, tmp_path):
    out = tmp_path / "out"
    options = {"max_steps": 4000, "save_steps": 4000, "eval_steps": 4000, "logging_steps": 1, "eval_episodes": 0}
    started = subprocess.Popen(
        [sys.executable, *TWO, *argv(out, corpus, **options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        metrics, deadline = out / "metrics.jsonl", time.monotonic() + 200
        while time.monotonic() < deadline and not (metrics.exists() and len(metrics.read_text().splitlines()) > 5):
            time.sleep(0.1)
        workers = [
            child
            for child in psutil.Process(started.pid).children(recursive=True)
            if str(out) in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        with pytest.raises(InputError, match=rf"is in use by another run \(process {workers[0].pid} on "):
            pretrain.main(argv(out, corpus, resume=True))
        workers[1].send_signal(signal.SIGUSR1)
        said, _ = started.communicate(timeout=100)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
    assert said.count("exitcode  : 75") >= 1, said[-3000:]
    (checkpoint,) = out.glob("checkpoint-*")
    step = int(checkpoint.name.split("-")[1])
    assert (out / "PREEMPTED").read_text() == f"saved step {step}; go on with --resume\n"
    assert not damages(checkpoint)
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == [0, *range(1, step + 1)], "nothing beyond what was saved"
    # One process with as large a batch goes on as well.
    changes = options | {"max_steps": step + 2, "per_device_train_batch_size": 8}
    assert pretrain.main(argv(out, corpus, resume=True, **changes))["steps"] == step + 2
    assert not (out / "PREEMPTED").exists()
