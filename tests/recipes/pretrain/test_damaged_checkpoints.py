"""Every file of a checkpoint damaged in every way: found, set aside, and the run goes on from the one before."""

import resource
import shutil
from pathlib import Path

import pytest
from pretrain_run import argv

from pico_maml.recipes.arguments.parser import run as command_line
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.trainers import InputError, MAMLTrainer
from pico_maml.trainers.runs.folder import checkpoint_to_resume

KINDS = ("truncated", "emptied", "removed", "bit-flipped")


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    path.unlink()
    if kind != "removed":
        path.write_bytes({"truncated": content[:middle], "emptied": b"", "bit-flipped": flipped}[kind])


def table(run: Path) -> list[tuple[str, str, str]]:
    """File, damage, and what a resume goes on from, for each file of the newest checkpoint of a run."""
    rows = []
    newest, kept = run / "checkpoint-4", run.parent / "kept"
    shutil.copytree(newest, kept)
    for file in sorted(path.relative_to(newest) for path in newest.rglob("*") if path.is_file()):
        for kind in KINDS:
            damage(newest / file, kind)
            rows.append((str(file), kind, checkpoint_to_resume(run, hashes=True).name))
            shutil.rmtree(run / "checkpoint-4.damaged", ignore_errors=True)
            shutil.rmtree(newest, ignore_errors=True)
            shutil.copytree(kept, newest)
    return rows


def test_no_damaged_checkpoint_is_resumed(pretrained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(pretrained, run)
    rows = table(run)
    files = {file for file, _, _ in rows}
    needed = {"COMPLETE", "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    assert needed | {"maml_state.safetensors", "config.json", "tokenizer.json"} <= files
    assert "training_args.bin" not in files, "a pickle"
    assert len(rows) == 4 * len(files)
    assert {found for _, _, found in rows} == {"checkpoint-2"}, [row for row in rows if row[2] != "checkpoint-2"]


def test_error_names_the_remedy_if_every_checkpoint_is_damaged(pretrained, corpus, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(pretrained, run)
    for step in (2, 4):
        (run / f"checkpoint-{step}" / "optimizer.pt").unlink()
    with pytest.raises(InputError, match=r"every checkpoint is damaged .* --init_from .*checkpoint-4.damaged"):
        pretrain.main(argv(run, corpus, resume=True))
    # A new run from its weights, with a new optimizer.
    again = pretrain.main(argv(tmp_path / "new", corpus, init_from=run / "checkpoint-4.damaged", max_steps=2))
    assert again["steps"] == 2
    again = pretrain.main(argv(tmp_path / "new", corpus, resume=True, init_from=run / "checkpoint-4.damaged"))
    assert again["steps"] == 4
    assert "max_steps 2 -> 4: the learning-rate schedule now ends at another step" in caplog.text
    with pytest.raises(InputError, match="has another shape than this run asks for: set n_layers 1"):
        pretrain.main(argv(tmp_path / "other", corpus, init_from=run / "checkpoint-4.damaged", n_layers=2))


def test_full_disk_prints_one_line_and_resume_gives_the_same_weights(
    pretrained, corpus, tmp_path, monkeypatch, capsys
):
    run, save = tmp_path / "run", MAMLTrainer._save_checkpoint

    def save_on_a_full_disk(trainer, *args):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if trainer.state.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            save(trainer, *args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(MAMLTrainer, "_save_checkpoint", save_on_a_full_disk)
    with pytest.raises(SystemExit) as caught:
        command_line(lambda: pretrain.main(argv(run, corpus)))
    assert caught.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: cannot save checkpoint-4 in ")
    assert "checkpoint-2 is untouched: free disk space or remove the cause, then continue with --resume" in line
    assert sorted(path.name for path in run.glob("checkpoint-*")) == ["checkpoint-2"]
    assert not (run / ".unfinished").exists()
    monkeypatch.undo()
    pretrain.main(argv(run, corpus, resume=True))
    assert (run / "model.safetensors").read_bytes() == (pretrained / "model.safetensors").read_bytes()
