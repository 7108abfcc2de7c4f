"""Checkpoints of a schedule: kept beside the regular ones, and a place to resume from."""

import json
import shutil

import pytest
import torch
from same_run import logs, same, state
from small_run import trainer

from pico_maml import PicoForCausalLM
from pico_maml.callbacks import PublishCallback
from pico_maml.trainers import InputError

OPTIONS = {"max_steps": 9, "save_strategy": "steps", "save_steps": 3, "save_total_limit": 1, "logging_steps": 1}


@pytest.fixture
def start(config, blocks, tokenizer, tmp_path):
    def new(name, **changes):
        torch.manual_seed(0)
        return trainer(PicoForCausalLM(config), blocks, tokenizer, tmp_path / name, **OPTIONS | changes)

    return new


def kept(folder) -> dict[int, list[str]]:
    files = folder.glob("checkpoint-*/kept.json")
    return {int(path.parent.name[11:]): json.loads(path.read_text())["reasons"] for path in files}


def test_scheduled_checkpoints_survive_rotation_and_do_not_count(start, tmp_path):
    run = start("run", save_schedule=["0", "powers"])
    published = []
    run.add_callback(PublishCallback(lambda folder, step: published.append(step)))
    run.train()
    assert published == [0, 1, 2, 3, 4, 6, 8, 9]
    assert kept(tmp_path / "run") == {0: ["step 0"], **{2**i: ["a power of two"] for i in range(4)}}
    assert {path.name[11:] for path in (tmp_path / "run").glob("checkpoint-*")} == {"0", "1", "2", "4", "8", "9"}


def test_budgets_of_tokens_and_words_are_met_by_what_was_read(start, tokenizer, tmp_path, monkeypatch):
    run = start("run", save_schedule=["1000tokens", "500words"])
    rows, before = [], run.source.before
    monkeypatch.setattr(run.source, "before", lambda ids, *more: (rows.append(ids.tolist()), before(ids, *more)))
    run.train()
    tokens, words = sum(map(len, rows[0])) * 2, 0  # two micro-batches a step
    for step in range(1, 10):
        both = rows[2 * step - 2] + rows[2 * step - 1]
        texts = [tokenizer.decode(row).replace(tokenizer.eos_token, "\n") for row in both]
        read = words + sum(len(text.split()) - (not text[0].isspace()) for text in texts)
        expected = ["1,000 tokens"] * (tokens * (step - 1) < 1000 <= tokens * step)
        expected += ["500 words"] * (words < 500 <= read)
        assert kept(tmp_path / "run").get(step, []) == expected, step
        words = read
    assert logs(tmp_path / "run")[-2]["words_seen"] == words


def test_resume_from_any_scheduled_checkpoint_is_bitwise(start, tmp_path):
    options = {"save_schedule": ["0", "2", "300words"]}
    start("whole", **options).train()
    for step in (0, 2):
        shutil.copytree(tmp_path / "whole", tmp_path / f"part{step}")
        for path in (tmp_path / f"part{step}").glob("checkpoint-*"):
            if int(path.name[11:]) > step:
                shutil.rmtree(path)
        start(f"part{step}", **options).train(resume_from_checkpoint=True)
        assert kept(tmp_path / f"part{step}") == kept(tmp_path / "whole")
        assert logs(tmp_path / f"part{step}") == logs(tmp_path / "whole")
        whole, part = (state(tmp_path / name / "checkpoint-9") for name in ("whole", f"part{step}"))
        assert [name for name in whole if not same(whole[name], part[name])] == []


def test_a_budget_of_words_needs_a_run_that_counted_them_from_its_start(start, tmp_path):
    start("run", max_steps=3).train()
    with pytest.raises(InputError, match="does not know words_seen since the start of the run"):
        start("run", save_schedule=["1Kwords"]).train(resume_from_checkpoint=True)
