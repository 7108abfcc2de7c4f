"""How a run starts and goes on, whatever became of its folder, its output and its claim."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError
from pico_maml.trainers.runs import claim
from pico_maml.trainers.runs.files import CLAIM_FILE, METRICS_FILE


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_resume_begins_a_run_where_there_is_none_and_says_so(pretrained, corpus, tmp_path, caplog):
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        pretrain.main(argv(out, corpus, resume=True))
    assert f"{out}: nothing to resume, a new run begins" in caplog.messages
    assert weights(out) == weights(pretrained)
    assert {path.name for path in out.iterdir()} == {path.name for path in pretrained.iterdir()}
    assert json.loads((out / "arguments.json").read_text()).keys() >= {"max_steps", "dataset"}


def test_resume_begins_where_a_run_was_killed_before_its_first_file(pretrained, corpus, tmp_path, caplog):
    out = tmp_path / "out"
    (out / ".unfinished").mkdir(parents=True)
    (out / ".download" / "run").mkdir(parents=True)
    (out / CLAIM_FILE).write_text("")
    (out / ".arguments.json.0123456789ab").write_text("{")
    pretrain.main(argv(out, corpus, resume=True))
    assert f"{out}: nothing to resume, a new run begins" in caplog.messages
    assert {path.name for path in out.iterdir()} == {path.name for path in pretrained.iterdir()}
    caplog.clear()
    (out / "results.json").unlink()
    pretrain.main(argv(out, corpus, resume=True))
    assert f"{out}: goes on from checkpoint-4" in caplog.messages
    assert weights(out) == weights(pretrained)


def test_resume_does_not_begin_a_run_among_other_files(corpus, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not empty: choose another output_dir"):
        pretrain.main(argv(tmp_path, corpus, resume=True))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_damaged_line_of_the_metrics_does_not_block_resuming(pretrained, corpus, tmp_path, caplog):
    out = tmp_path / "out"
    shutil.copytree(pretrained, out)
    lines = (out / METRICS_FILE).read_bytes().splitlines(keepends=True)
    (out / METRICS_FILE).write_bytes(b"".join(lines[:-1]) + b"\xff\xfe\x00")
    (out / "results.json").unlink()
    pretrain.main(argv(out, corpus, resume=True))
    assert "1 damaged line(s) dropped" in caplog.text
    assert [json.loads(line) for line in lines[:-1]] == [
        json.loads(line) for line in (out / METRICS_FILE).read_bytes().splitlines()
    ]


def test_run_ends_as_ever_when_nobody_reads_its_output(pretrained, corpus, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pico_maml.recipes.pretrain", *argv(out, corpus, console="json")]
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", '"$@" 2>&1 | head -n 1', "bash", *command],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 1
    assert weights(out) == weights(pretrained)
    assert json.loads((out / "results.json").read_text()) == json.loads((pretrained / "results.json").read_text())


def test_run_that_lost_its_folder_to_another_machine_stops_before_it_writes_there(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.05)
    out = tmp_path / "out"

    def take_over() -> None:
        while not (out / METRICS_FILE).exists():
            time.sleep(0.01)
        (out / CLAIM_FILE).write_text("elsewhere 1 abc")

    other = threading.Thread(target=take_over)
    other.start()
    with pytest.raises(InputError, match=f"showed no sign of life for so long that another run took over {out}"):
        pretrain.main(argv(out, corpus, max_steps=100_000, save_steps=100_000, eval_steps=100_000))
    other.join()
    assert (out / CLAIM_FILE).read_text() == "elsewhere 1 abc"
    assert not list(out.glob("checkpoint-*"))


def test_folder_that_cannot_be_written_is_one_line(corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output_dir .*file/out lies below .*file, which is a file"):
        pretrain.main(argv(tmp_path / "file" / "out", corpus))
