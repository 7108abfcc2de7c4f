import copy
import os
import signal
import threading

import pytest
import torch
from small_run import trainer

from pico_maml.trainers.runs.checkpoints import damages
from pico_maml.trainers.runs.files import PREEMPTED_FILE
from pico_maml.trainers.runs.safety import Preemption

OPTIONS = {"max_steps": 8, "save_strategy": "no"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_sets_asked_inside_with_and_the_old_handler_returns(number):
    before = signal.getsignal(number)
    with Preemption() as preemption:
        os.kill(os.getpid(), number)
        assert preemption.asked
    assert signal.getsignal(number) is before


def test_other_threads_install_no_handlers():
    seen = []

    def enter():
        with Preemption() as preemption:
            seen.append(preemption.asked)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [False]


def test_resume_after_a_signal_gives_the_same_weights(model, blocks, tokenizer, tmp_path):
    whole = trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "whole", **OPTIONS)
    whole.train()
    assert not whole.preempted

    def run():
        return trainer(copy.deepcopy(model), blocks, tokenizer, tmp_path / "part", **OPTIONS)

    part = run()
    collate, batches = part.data_collator, []

    def signalled(rows):
        batches.append(rows)
        if len(batches) == 6:  # read ahead for a step in the middle
            os.kill(os.getpid(), signal.SIGTERM)
        return collate(rows)

    part.data_collator = signalled
    part.train()
    assert part.preempted
    step = part.state.global_step
    assert 2 <= step <= 4, "at the end of the step it was in"
    assert (tmp_path / "part" / PREEMPTED_FILE).read_text() == f"saved step {step}; go on with --resume\n"
    assert not damages(tmp_path / "part" / f"checkpoint-{step}")
    assert "train_runtime" not in (tmp_path / "part" / "metrics.jsonl").read_text(), "it is not over"

    again = run()
    again.train(resume_from_checkpoint=True)
    assert not (tmp_path / "part" / PREEMPTED_FILE).exists()
    for name, p in again.model.named_parameters():
        assert torch.equal(p, dict(whole.model.named_parameters())[name]), name
