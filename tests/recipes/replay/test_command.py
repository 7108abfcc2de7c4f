"""What `replay` finds is what the run read, bitwise."""

import json

import pytest
import torch
from pretrain_run import argv

from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.replay import command as replay
from pico_maml.trainers import InputError, MAMLTrainer

RUNS = {
    "episodes": {},
    "classes": {
        "episode_classes": "clusters",
        "readout": "word",
        "hybrid_mode": "add",
        "held_out_rule": "form",
        "meta_algorithm": "protonet",
        "class_support": "memory",
        "class_count": 8,
    },
    "stream": {"hybrid_mode": "add", "episode_states": "stream", "readout": "previous", "n_way": 2, "k_shot": 1},
    "streaming": {"streaming": True, "shuffle_blocks": 16},
}
OPTIONS = {"max_steps": 14, "gradient_accumulation_steps": 3, "eval_episodes": 0, "console": "quiet", "save_steps": 7}
OPTIONS |= {"per_device_train_batch_size": 8, "dynamics_steps": 0}  # 14 steps are more than an epoch
STEPS = [1, 9, 13]


@pytest.fixture(params=RUNS)
def recorded(request, corpus, tmp_path, monkeypatch):
    """A run, and its token ids and episodes by step and micro-batch."""
    read = {}
    step = MAMLTrainer.training_step

    def recording(self, model, inputs, *more):
        draws, draw = [], self.source.draw
        monkeypatch.setattr(self.source, "draw", lambda *given: draws.append(draw(*given)) or draws[-1])
        place = self.state.global_step + 1, sum(key[0] == self.state.global_step + 1 for key in read)
        read[place] = inputs["input_ids"].tolist(), draws
        result = step(self, model, inputs, *more)
        monkeypatch.setattr(self.source, "draw", draw)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(MAMLTrainer, "training_step", recording)
        pretrain.main(argv(tmp_path / "run", corpus, **OPTIONS, **RUNS[request.param]))
    return tmp_path / "run", read


def test_rows_and_episodes_are_those_of_the_run(recorded, tmp_path):
    run, read = recorded
    out = tmp_path / "read.jsonl"
    replay.main(["--run", str(run), "--steps", *map(str, STEPS), "--output_file", str(out)])
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert {batch["step"] for batch in found} == set(STEPS)
    assert {(batch["step"], batch["micro_batch"]) for batch in found} == {key for key in read if key[0] in STEPS}
    for batch in found:
        ids, draws = read[batch["step"], batch["micro_batch"]]
        assert [row["input_ids"] for row in batch["rows"]] == ids
        episode = draws[0] if draws else None
        assert batch["episode_skipped"] == (draws == [None])
        assert (batch["episode"] is None) == (episode is None)
        if episode is not None and "asked" in batch["episode"][0]:
            assert sum(each["asked"] for each in batch["episode"]) == episode.queries
            words = [word for each in batch["episode"] for word in each["first_side"]]
            assert len(words) == episode.border
        elif episode is not None:
            for side, examples in (("support", episode.support), ("query", episode.query)):
                windows = [window["input_ids"] for each in batch["episode"] for window in each[side]]
                expected = zip(examples.rows.tolist(), examples.positions.tolist(), strict=True)
                assert windows == [examples.ids[row, : position + 1].tolist() for row, position in expected]
    assert any(batch["episode"] for batch in found)


def test_text_is_printed_and_the_run_is_left_as_it_was(corpus, tmp_path, capsys):
    run = tmp_path / "run"
    pretrain.main(argv(run, corpus, **OPTIONS | {"max_steps": 2}))
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    torch.manual_seed(1)
    capsys.readouterr()
    replay.main(["--run", str(run), "--steps", "2"])
    printed = capsys.readouterr().out
    assert printed.count("step 2, micro-batch") == 3
    assert "row 7, documents" in printed
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize(
    ("steps", "message"), [("0", "steps must be at least 1"), ("9", "step 9 was not logged: the last one of .* is 2")]
)
def test_a_step_that_the_run_has_not_is_an_error(steps, message, corpus, tmp_path):
    run = tmp_path / "run"
    pretrain.main(argv(run, corpus, **OPTIONS | {"max_steps": 2}))
    with pytest.raises(InputError, match=message):
        replay.main(["--run", str(run), "--steps", steps])
    with pytest.raises(InputError, match="is no run of pretrain"):
        replay.main(["--run", str(tmp_path), "--steps", "1"])


def test_an_edited_corpus_is_an_error(text, tmp_path):
    corpus = tmp_path / "books.txt"
    corpus.write_text("\n\n".join(text))
    pretrain.main(argv(tmp_path / "run", corpus, **OPTIONS | {"max_steps": 2}))
    corpus.write_text("\n\n".join(reversed(text)))
    with pytest.raises(InputError, match=r"changed since the run in .* began"):
        replay.main(["--run", str(tmp_path / "run"), "--steps", "1"])
