"""What a run without trackers does not wait for."""

import subprocess
import sys

from pretrain_run import argv


def test_a_run_without_trackers_imports_nothing_that_only_trackers_and_reports_need(corpus, tmp_path):
    arguments = argv(tmp_path / "out", corpus, max_steps=1, eval_episodes=0)
    code = "from pico_maml.recipes.pretrain.command import main; import sys; main(sys.argv[1:]); print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    modules = set(process.stdout.splitlines()[-1].split())
    assert "datasets" in modules
    assert not modules & {"wandb", "matplotlib", "plotly", "scipy.stats", "sklearn", "statsmodels"}
