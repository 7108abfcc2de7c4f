"""A study as jobs of SLURM, from the command line, with stand-ins for SLURM's commands."""

import json
import time
from pathlib import Path

import fake_slurm
import pytest

from pico_maml.recipes.compare import command

STUDY = [
    *("--seeds", "1"),
    *("--budget", "tokens"),
    *("--measures", '{"loss": 0.01}'),
    *("--primary", "same vs vanilla: loss"),
    *("--adaptation", "{}"),
    *("--ner", "{}"),
    *("--few_shot", "{}"),
]
PLAIN = {"arguments": {"hybrid_ratio": 0}}
SAME = json.dumps({"vanilla": PLAIN, "same": PLAIN | {"control": "vanilla"}})


def test_jobs_do_the_runs_and_a_later_start_writes_the_page(argv, commands, tmp_path, monkeypatch, capsys):
    pytest.importorskip("submitit")
    fake_slurm.install(tmp_path / "bin", monkeypatch)
    argv += [*STUDY, "--arms", SAME]
    assert command.main([*argv, "--dry_run"])["left"] == 2
    slurm = [*argv, "--launcher", "slurm", "--workers", "2", "--slurm", '{"timeout_min": 5}']
    counts = command.main(slurm)
    assert counts["left"] == 2, "jobs do the runs, not this process"
    assert "submitted 7_0, 7_1" in capsys.readouterr().out
    for _ in range(3000):
        if (tmp_path / "bin" / "ended").exists():
            break
        time.sleep(0.1)
    assert command.main([*slurm, "--dry_run"]) == {"finished": 2, "failed": 0, "left": 0}
    assert "identical" in capsys.readouterr().out
    assert Path("out/index.html").exists()
    (tmp_path / "bin" / "sbatch").unlink()
    assert command.main(slurm)["finished"] == 2, "no job is submitted where nothing is left"


@pytest.mark.slow
def test_costs_are_measured_in_a_job_on_the_machines_that_do_the_runs(argv, commands, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    fake_slurm.install(tmp_path / "bin", monkeypatch)
    argv += [*STUDY, "--arms", SAME, "--launcher", "slurm", "--slurm", '{"timeout_min": 5}', "--dry_run"]
    assert command.main(argv)["left"] == 2
    assert len(commands) == 0, "nothing was trained in this process"
    assert json.loads(Path("out/plan.json").read_text())["steps"]["same"] == {"1.0": 12}
