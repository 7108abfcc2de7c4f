"""The plans in the configuration, on two processes."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kind", ["fsdp", "tensor-parallel"])
def test_sharded_forward_and_gradients_equal_the_plain_ones(model, kind, tmp_path):
    model.save_pretrained(tmp_path)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = str(Path(__file__).parents[1] / "sharded_forward.py")
    done = subprocess.run([*launch, script, kind, str(tmp_path)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("equal") == 2
