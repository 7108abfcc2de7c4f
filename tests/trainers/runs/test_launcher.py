import multiprocessing
import os
import subprocess
import sys
import time

import fake_slurm
import forked
import psutil
import pytest
import torch

from pico_maml.trainers import InputError
from pico_maml.trainers.runs.launcher import launch


@pytest.fixture
def code(tmp_path):
    """Python that writes the threads of a worker to a file named by its process; `exec` is the worker."""
    (tmp_path / "out").mkdir()
    path = f"pathlib.Path({str(tmp_path / 'out')!r}, str(os.getpid()))"
    return f"import os, pathlib, torch; {path}.write_text(str(torch.get_num_threads()))"


def test_one_process_is_the_current_one(code, tmp_path):
    launch(exec, (code,), 1, "process", tmp_path / "logs")
    (file,) = (tmp_path / "out").iterdir()
    assert (file.name, file.read_text()) == (str(os.getpid()), str(torch.get_num_threads()))


@pytest.fixture
def forking(monkeypatch):
    """Workers without the seconds that a spawned one imports for; `recipes/sweep` has a test with spawned ones."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: forked.CONTEXT)


@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize(("launcher", "slurm"), [("process", None), ("submitit-local", {"timeout_min": 5})])
def test_two_workers_share_the_threads_and_have_ended_afterwards(launcher, slurm, code, tmp_path, capsys):
    if launcher == "submitit-local":
        pytest.importorskip("submitit")
    launch(exec, (code,), 2, launcher, tmp_path / "logs", slurm)
    files = list((tmp_path / "out").iterdir())
    assert len(files) == 2
    assert str(os.getpid()) not in {file.name for file in files}
    assert {file.read_text() for file in files} == {str(max(1, os.cpu_count() // 2))}
    assert ("submitted" in capsys.readouterr().out) == (launcher == "submitit-local") == (tmp_path / "logs").exists()


@pytest.mark.usefixtures("forking")
def test_workers_that_die_are_counted(tmp_path):
    assert launch(exec, ("import os; os._exit(9)",), 2, "process", tmp_path / "logs") == 2


def test_workers_end_with_the_process_that_started_them(tmp_path):
    worker = f"import os, pathlib, time; pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch(); time.sleep(600)"
    code = (
        "from pathlib import Path\nfrom pico_maml.trainers.runs.launcher import launch\n"
        "from pico_maml.trainers.runs.process_end import ended_by_signals\n"
        f"with ended_by_signals(): launch(exec, ({worker!r},), 2, 'process', Path('logs'))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while len(started := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    parent.terminate()
    assert parent.wait(60) == 143
    assert not any(psutil.pid_exists(number) for number in started)


def test_submitit_that_is_not_installed_is_an_error(code, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"launcher slurm needs submitit: pip install 'pico-maml\[slurm\]'"):
        launch(exec, (code,), 2, "slurm", tmp_path / "logs")


def test_a_job_array_of_slurm_is_waited_for(code, tmp_path, monkeypatch, capsys):
    pytest.importorskip("submitit")
    fake_slurm.install(tmp_path / "bin", monkeypatch)
    launch(exec, (code,), 2, "slurm", tmp_path / "logs", {"timeout_min": 5}, wait=True)
    assert "submitted 7_0, 7_1" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_failed_job_that_is_waited_for_is_an_error_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    fake_slurm.install(tmp_path / "bin", monkeypatch)
    with pytest.raises(InputError, match=r"^job 7 failed: no such corpus$"):
        launch(exec, ("raise ValueError('no such corpus')",), 1, "slurm", tmp_path / "logs", wait=True)


@pytest.mark.parametrize(
    ("slurm", "refusal", "message"),
    [
        ({"slurm_gres": "gpu:1", "timeout_hours": 5}, "", "slurm: .*timeout_hours"),
        ({}, "sbatch: error: invalid partition specified: gpu", "did not take the jobs: .*invalid partition"),
    ],
)
def test_jobs_that_slurm_does_not_take_are_an_error(slurm, refusal, message, code, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    fake_slurm.install(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("FAKE_SBATCH_ERROR", refusal)
    with pytest.raises(InputError, match=message):
        launch(exec, (code,), 1, "slurm", tmp_path / "logs", slurm)


def test_a_machine_without_slurm_is_an_error(code, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match='Could not detect "srun"'):
        launch(exec, (code,), 1, "slurm", tmp_path / "logs")
