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
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.checkpoints import verify

TORTURE = str(Path(__file__).parents[2] / "torture.py")
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "pico_maml.recipes.pretrain"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(("processes", "kind"), [("1", "streamed"), ("2", "mapped")])
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(processes, kind):
    command = [sys.executable, TORTURE, "--kills=3", "--steps=8", "--processes", processes, "--kinds", kind]
    done = subprocess.run(command, timeout=400, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "kills=3" in done.stdout
    assert "hangs=0, wrong=[]" in done.stdout


def test_a_signal_to_one_of_two_processes_saves_on_both(corpus, tmp_path):
    out = tmp_path / "out"
    options = {"max_steps": 4000, "save_steps": 4000, "eval_steps": 4000, "logging_steps": 1, "eval_episodes": 0}
    started = subprocess.Popen(
        [sys.executable, *TWO, *argv(out, corpus, **options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment(),
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
        with pytest.raises(InputError, match=rf"belongs to a run that is going on \(process {workers[0].pid} on "):
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
    assert verify(checkpoint)
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == [0, *range(1, step + 1)], "nothing beyond what was saved"
    # One process with as large a batch goes on as well.
    changes = options | {"max_steps": step + 2, "per_device_train_batch_size": 8}
    assert pretrain.main(argv(out, corpus, resume=True, **changes))["steps"] == step + 2
    assert not (out / "PREEMPTED").exists()
