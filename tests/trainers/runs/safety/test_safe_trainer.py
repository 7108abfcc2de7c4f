import os
import signal

import pytest
from datasets import Dataset
from small_run import arguments, trainer

from pico_maml.trainers import InputError, MAMLTrainer
from pico_maml.trainers.corpus import BlockStream, collate_blocks

OPTIONS = {"max_steps": 6, "save_strategy": "steps", "save_steps": 1, "dataloader_num_workers": 1}


class Dies:
    """The collator, in a worker that is killed at its fifth batch."""

    def __init__(self) -> None:
        self.batches = 0

    def __call__(self, rows):
        self.batches += 1
        if self.batches == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return collate_blocks(rows)


def test_killed_data_worker_raises_an_error_with_a_remedy(model, blocks, tokenizer, tmp_path):
    made = MAMLTrainer(model, arguments(tmp_path, **OPTIONS), blocks, tokenizer, data_collator=Dies())
    with pytest.raises(InputError, match=r"a data worker died .* lower dataloader_num_workers.*--resume"):
        made.train()


def test_resume_with_another_kind_of_corpus_raises(model, blocks, tokenizer, tmp_path):
    trainer(model, blocks, tokenizer, tmp_path, **OPTIONS).train()
    rows = Dataset.from_dict({"input_ids": blocks[:]["input_ids"].tolist()}).to_iterable_dataset()
    stream = BlockStream(rows, 48, packed=True)
    with pytest.raises(InputError, match=r"holds no stream.json .*another kind of corpus"):
        trainer(model, stream, tokenizer, tmp_path, **OPTIONS).train(resume_from_checkpoint=True)


def test_resume_from_a_checkpoint_without_optimizer_raises(model, blocks, tokenizer, tmp_path):
    trainer(model, blocks, tokenizer, tmp_path, **OPTIONS, save_only_model=True).train()
    with pytest.raises(InputError, match=r"holds no scheduler.pt \(saved with save_only_model"):
        trainer(model, blocks, tokenizer, tmp_path, **OPTIONS).train(resume_from_checkpoint=True)


def test_resume_of_a_stream_with_another_number_of_workers_raises(model, blocks, tokenizer, tmp_path):
    rows = Dataset.from_dict({"input_ids": blocks[:]["input_ids"].tolist()}).to_iterable_dataset(4)
    stream = BlockStream(rows, 48, packed=True)
    trainer(model, stream, tokenizer, tmp_path, **OPTIONS).train()
    with pytest.raises(InputError, match="dataloader_num_workers was 1 and is 0"):
        trainer(model, stream, tokenizer, tmp_path, **{**OPTIONS, "dataloader_num_workers": 0}).train(
            resume_from_checkpoint=True
        )


def test_old_checkpoints_of_a_run_killed_after_its_last_save_are_deleted_when_it_resumes(
    model, blocks, tokenizer, tmp_path
):
    trainer(model, blocks, tokenizer, tmp_path, **OPTIONS).train()
    assert len(list(tmp_path.glob("checkpoint-*"))) == OPTIONS["max_steps"]
    trainer(model, blocks, tokenizer, tmp_path, **OPTIONS, save_total_limit=2).train(resume_from_checkpoint=True)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-5", "checkpoint-6"}
