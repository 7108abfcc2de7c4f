"""A run that goes on from a checkpoint of another, with other arguments."""

import json
import shutil

import pytest
from pretrain_run import argv
from safetensors.torch import load_file

from pico_maml.recipes.arguments.run_record import training_runs
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.report import command as report
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.reader import load_runs

OPTIONS = {
    "max_steps": 6,
    "save_steps": 2,
    "logging_steps": 1,
    "eval_steps": 3,
    "eval_episodes": 0,
    "console": "quiet",
}


@pytest.fixture(scope="module")
def parent(corpus, tmp_path_factory):
    """A vanilla run with checkpoints of steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("parent") / "vanilla"
    pretrain.main(argv(folder, corpus, **OPTIONS, hybrid_ratio=0, dynamics_steps=2))
    return folder


def branch(parent, folder, corpus, **changes):
    options = OPTIONS | {"hybrid_ratio": 0, "dynamics_steps": 2, "branch_from": parent / "checkpoint-4"}
    pretrain.main(argv(folder, corpus, **options | changes))
    return folder


def logs(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_branch_that_changes_nothing_is_the_run_bitwise(parent, corpus, tmp_path):
    own = branch(parent, tmp_path / "same", corpus)
    assert load_file(own / "model.safetensors").keys() == load_file(parent / "model.safetensors").keys()
    for name in ("model.safetensors", "optimizer.pt"):
        files = [folder / "checkpoint-6" / name for folder in (own, parent)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    assert [entry["step"] for entry in logs(own) if "grad_norm" in entry] == [5, 6]
    assert json.loads((own / "arguments.json").read_text())["branch"] == {"step": 4, "changed": {}}


def test_a_branch_has_its_own_rate_schedule_and_episodes_and_the_counts_of_its_parent(parent, corpus, tmp_path):
    changes = {"learning_rate": 1e-2, "lr_scheduler_type": "linear", "hybrid_ratio": 1, "weight_decay": 0.5}
    own = branch(parent, tmp_path / "decay", corpus, max_steps=8, **changes)
    trained = [entry for entry in logs(own) if "grad_norm" in entry]
    rates = [entry["learning_rate"] for entry in trained]
    assert rates == pytest.approx([1e-2 * (8 - step) / 8 for step in (4, 5, 6, 7)])
    assert [entry["episodes"] for entry in trained] == [1, 2, 3, 4]
    before = [entry["tokens_seen"] for entry in logs(parent) if entry["step"] == 4 and "tokens_seen" in entry]
    assert trained[0]["tokens_seen"] == before[0] * 5 / 4
    recorded = json.loads((own / "arguments.json").read_text())["branch"]
    assert recorded["step"] == 4
    assert recorded["changed"] == {
        "hybrid_ratio": [0, 1],
        "learning_rate": [3e-4, 1e-2],
        "lr_scheduler_type": ["cosine", "linear"],
        "max_steps": [6, 8],
        "weight_decay": [0.0, 0.5],
    }
    state = json.loads((own / "checkpoint-8" / "trainer_state.json").read_text())
    assert state["global_step"] == 8


def test_a_killed_branch_goes_on_from_its_parent_or_from_its_own_checkpoint(parent, corpus, tmp_path):
    whole = branch(parent, tmp_path / "whole", corpus, learning_rate=1e-2, max_steps=8)
    for kept in (["checkpoint-6"], []):
        part = tmp_path / f"part{len(kept)}"
        shutil.copytree(whole, part)
        for path in part.glob("checkpoint-*"):
            if path.name not in kept:
                shutil.rmtree(path)
        for name in ("results.json", "model.safetensors"):
            (part / name).unlink()
        branch(parent, part, corpus, learning_rate=1e-2, max_steps=8, resume=True)
        assert (part / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
        assert [entry["step"] for entry in logs(part)] == [entry["step"] for entry in logs(whole)]


def test_a_branch_reads_another_streamed_corpus_from_its_start(parent, text, corpus, tmp_path):
    (tmp_path / "other.txt").write_text("\n\n".join(reversed(text)))
    other = {"dataset": tmp_path / "other.txt", "streaming": True, "block_size": 48}
    own = branch(parent, tmp_path / "other", corpus, **other)
    assert [entry["step"] for entry in logs(own) if "grad_norm" in entry] == [5, 6]
    runs, complete = training_runs(str(own))
    assert [run.corpus.dataset for run in runs] == [str(tmp_path / "other.txt"), corpus]
    assert complete


def test_the_page_draws_a_branch_from_where_it_leaves(parent, corpus, tmp_path):
    own = branch(parent, tmp_path / "drawn", corpus, learning_rate=1e-2)
    alone = load_runs([str(own)])[0]
    drawn = load_runs([str(parent), str(own)])[1]
    assert alone.curve("next_token_loss")["step"].tolist() == [5, 6]
    curve = drawn.curve("next_token_loss")
    assert curve["step"].tolist() == [4, 5, 6]
    before = load_runs([str(parent)])[0].curve("next_token_loss").set_index("step")
    assert curve["value"].iloc[0] == before["value"][4]
    assert curve["flops"].iloc[0] == before["flops"][4]
    assert drawn.dynamics["step"].min() == 4
    assert drawn.notes == [f"branch of {parent / 'checkpoint-4'}: learning_rate 0.0003 -> 0.01"]
    page = report.main([str(parent), str(own), "--output", str(tmp_path / "page"), "--formats", "png"])
    assert "learning_rate 0.0003 -&gt; 0.01" in page.read_text().replace("->", "-&gt;")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"branch_from": "checkpoint-5"}, "is no checkpoint of a run: name a folder checkpoint-N"),
        ({"branch_from": ""}, "is no checkpoint of a run: it has checkpoint-2, checkpoint-4, checkpoint-6"),
        ({"max_steps": 4}, "max_steps is 4, but .*checkpoint-4 is of step 4: raise max_steps"),
        ({"n_layers": 2, "held_out_words": 0.1}, "cannot change held_out_words 0.3 -> 0.1, n_layers 1 -> 2"),
        ({"per_device_train_batch_size": 2}, "cannot change the micro-batch over all processes, 4 -> 2 blocks"),
        ({"eval_fraction": 0.2}, "branch_from .* eval_fraction is 0.2, but the run held out 0.1"),
        ({"resume_from": "hub"}, "branch_from and resume_from both say"),
    ],
)
def test_a_branch_that_cannot_be_is_one_clear_error(parent, corpus, tmp_path, changes, message):
    if "branch_from" in changes:
        changes = {"branch_from": parent / changes["branch_from"]}
    with pytest.raises(InputError, match=message):
        branch(parent, tmp_path / "run", corpus, **changes)
    assert not (tmp_path / "run").exists()
