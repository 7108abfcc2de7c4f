"""A run that is stopped and resumed ends bitwise like a run that was not stopped."""

import shutil
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from same_run import logs, same, state
from small_run import arguments, trainer
from transformers import EarlyStoppingCallback, TrainerCallback

from pico_maml import PicoForCausalLM
from pico_maml.trainers import InputError, MAMLTrainer
from pico_maml.trainers.corpus import BlockStream

OPTIONS = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}


class StopAt(TrainerCallback):
    """Ends training after a step, as a machine that goes away would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step


@pytest.fixture
def start(config):
    def new() -> PicoForCausalLM:
        torch.manual_seed(0)
        return PicoForCausalLM(config)

    return new


def stream(blocks, shards: int = 3) -> BlockStream:
    documents = Dataset.from_dict({"input_ids": [row[:-1].tolist() for row in blocks["input_ids"][:70]]})
    return BlockStream(documents.to_iterable_dataset(shards), 48, shuffle_blocks=10, seed=1)


@pytest.mark.parametrize(
    ("streamed", "workers"),
    [(False, 0), (False, 2), (True, 0), (True, 2)],
    ids=["mapped", "mapped-2", "streamed", "streamed-2"],
)
def test_resume_gives_the_same_logs_and_checkpoints_bitwise(start, blocks, tokenizer, tmp_path, streamed, workers):
    options = OPTIONS | {"dataloader_num_workers": workers, "logging_steps": 2, "max_steps": 12}

    def run(name):
        return trainer(start(), stream(blocks) if streamed else blocks, tokenizer, tmp_path / name, **options)

    run("whole").train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for step in (9, 12):
        shutil.rmtree(tmp_path / "part" / f"checkpoint-{step}")
    run("part").train(resume_from_checkpoint=True)
    assert logs(tmp_path / "part") == logs(tmp_path / "whole")
    for step in (9, 12):
        whole, part = (state(tmp_path / name / f"checkpoint-{step}") for name in ("whole", "part"))
        assert [name for name in whole if not same(whole[name], part[name])] == []


def test_resume_restores_best_metric_and_patience_of_early_stopping(start, blocks, tokenizer, tmp_path):
    # The greatest loss counts as best, and it falls: the first evaluation stays the best, and patience ends.
    options = OPTIONS | {"max_steps": 12, "save_steps": 1, "save_total_limit": 2}
    options |= {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "loss", "greater_is_better": True}
    options |= {"load_best_model_at_end": True}

    def run(name):
        args = arguments(tmp_path / name, **options)
        made = MAMLTrainer(start(), args, blocks, tokenizer, eval_dataset=blocks.select(range(8)))
        made.add_callback(EarlyStoppingCallback(early_stopping_patience=4))
        return made

    whole = run("whole")
    whole.train()
    assert whole.state.global_step < 12, "stopped early"
    kept = sorted(path.name for path in (tmp_path / "whole").glob("checkpoint-*"))
    best = whole.state.best_model_checkpoint
    assert Path(best).parent == tmp_path / "whole"
    assert kept == sorted([Path(best).name, f"checkpoint-{whole.state.global_step}"]), "the best and the newest"

    part = run("part")
    part.add_callback(StopAt(3))
    part.train()
    again = run("part")
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == whole.state.global_step
    assert again.state.best_metric == whole.state.best_metric
    assert Path(again.state.best_model_checkpoint).name == Path(best).name
    entries = [entry for entry in logs(tmp_path / "part") if "total_flos" not in entry]
    assert entries == [entry for entry in logs(tmp_path / "whole") if "total_flos" not in entry]


def test_resume_drops_damaged_lines_of_the_log_with_a_warning(start, blocks, tokenizer, tmp_path, caplog):
    trainer(start(), blocks, tokenizer, tmp_path / "whole", **OPTIONS).train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    log = tmp_path / "part" / "metrics.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], b"[1, 2]\n", *lines[3:-1], b"\xff\xfe\x00"]))
    again = trainer(start(), blocks, tokenizer, tmp_path / "part", **OPTIONS)
    again.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    assert f"{log}: 2 damaged line(s) dropped" in caplog.messages
    assert [entry["step"] for entry in logs(tmp_path / "part")] == [1, 2, 3, 4, 5, 6, 6]
    assert logs(tmp_path / "part")[:6] == logs(tmp_path / "whole")[:6]


def test_resume_reads_no_row_again(start, blocks, tokenizer, tmp_path, monkeypatch):
    options = OPTIONS | {"max_steps": 12}
    trainer(start(), blocks, tokenizer, tmp_path / "run", **options).train()
    read = []
    for step in (3, 9):
        seen = []
        again = trainer(start(), blocks, tokenizer, tmp_path / "run", **options)
        collate = again.data_collator
        again.data_collator = lambda rows, seen=seen, collate=collate: seen.append(len(rows)) or collate(rows)
        again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
        read.append(len(seen) - 2 * (12 - step))
    assert read[0] == read[1] <= 1, "beyond what it trains on, a batch of the loader's look-ahead"


def test_resume_with_other_batch_sizes_raises(start, blocks, tokenizer, tmp_path):
    trainer(start(), blocks, tokenizer, tmp_path, **OPTIONS).train()
    for changes, message in (
        ({"per_device_train_batch_size": 2}, "micro_batch_size 4 -> 2"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps 2 -> 1"),
    ):
        with pytest.raises(InputError, match=message):
            trainer(start(), blocks, tokenizer, tmp_path, **OPTIONS, **changes).train(resume_from_checkpoint=True)
