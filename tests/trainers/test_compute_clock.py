"""Compute seconds of training steps, apart from those of everything else."""

import json
import time
from pathlib import Path

import pytest
import torch
from small_run import trainer
from transformers import TrainerCallback

from pico_maml.trainers import MAMLTrainer, compute_clock
from pico_maml.trainers.compute_clock import OTHER, TRAINING, ComputeClock


class Machine:
    """A CPU whose seconds pass only in `work`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def work(self, seconds: float) -> None:
        self.seconds += seconds

    def trainer(self, *args, **options) -> MAMLTrainer:
        """A trainer whose clock reads this machine's seconds."""
        made = trainer(*args, **options)
        made.clock.now = lambda: self.seconds
        return made


class Work(TrainerCallback):
    """Works at an event, as a measurement would."""

    def __init__(self, machine: Machine, event: str, seconds: float) -> None:
        setattr(self, event, lambda *args, **kwargs: machine.work(seconds))


@pytest.fixture
def machine(monkeypatch) -> Machine:
    """A machine on which a micro-batch takes one second."""
    machine, step = Machine(), MAMLTrainer.training_step

    def slow_step(self, *args, **kwargs):
        machine.work(1.0)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(MAMLTrainer, "training_step", slow_step)
    return machine


def logs(folder: Path) -> list[tuple[float, float]]:
    """Seconds of training and other seconds by training log."""
    entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    names = ("training_cpu_seconds", "other_cpu_seconds")
    return [tuple(entry[name] for name in names) for entry in entries if names[0] in entry]


def test_evaluations_measurements_logs_and_saving_count_as_other(model, blocks, tokenizer, tmp_path, machine):
    run = machine.trainer(model, blocks, tokenizer, tmp_path, max_steps=2, save_strategy="steps", save_steps=1)
    for event, seconds in (("on_train_begin", 1e3), ("on_step_end", 1e2), ("on_save", 10)):
        run.add_callback(Work(machine, event, seconds))
    run.train()
    assert logs(tmp_path) == [(2, 1e3 + 1e2), (4, 1e3 + 2e2 + 10)], "a step is logged before it is saved"


def test_fetching_batches_counts_as_training(model, blocks, tokenizer, tmp_path, machine):
    run = machine.trainer(model, blocks, tokenizer, tmp_path, max_steps=1)
    collate = run.data_collator
    run.data_collator = lambda rows: machine.work(0.5) or collate(rows)
    run.train()
    assert logs(tmp_path)[0][0] >= 3, "two micro-batches of 1 s, each with 0.5 s of data"


def test_drawing_episodes_counts_as_training_and_apart(model, blocks, tokenizer, tmp_path, machine):
    run = machine.trainer(model, blocks, tokenizer, tmp_path, max_steps=1, hybrid_ratio=1.0)
    draw = run.source.draw
    run.source.draw = lambda *args: machine.work(0.25) or draw(*args)
    run.train()
    entry = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert (entry["sampling_cpu_seconds"], entry["training_cpu_seconds"]) == (0.5, 2.5), "two micro-batches"


def test_a_resumed_run_goes_on_from_the_seconds_of_its_checkpoint(model, blocks, tokenizer, tmp_path, machine):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    machine.trainer(model, blocks, tokenizer, tmp_path, **options).train()
    checkpoint = tmp_path / "checkpoint-2"
    saved = json.loads((checkpoint / "compute_seconds.json").read_text())
    assert saved == {"training_cpu_seconds": 4, "sampling_cpu_seconds": 0, "other_cpu_seconds": 0}
    again = machine.trainer(model, blocks, tokenizer, tmp_path, **options)
    machine.work(1e3)  # between the two parts of the run
    again.train(resume_from_checkpoint=str(checkpoint))
    assert [training for training, _ in logs(tmp_path)] == [2, 4, 6, 8]


def test_a_checkpoint_without_seconds_resumes_and_logs_none(tmp_path, caplog):
    clock = ComputeClock(torch.device("cpu"))
    clock.load(tmp_path)
    clock.switch(TRAINING)
    assert clock.totals() == {}
    clock.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (
        "does not hold training_cpu_seconds and sampling_cpu_seconds and other_cpu_seconds: no longer logged"
        in caplog.text
    )


def test_seconds_of_cpus_are_not_added_to_those_of_gpus(tmp_path):
    ComputeClock(torch.device("cpu")).save(tmp_path)
    clock = ComputeClock(torch.device("cuda"))
    clock.load(tmp_path)
    assert clock.totals() == {}


def test_totals_are_sums_over_processes_to_which_the_seconds_before_a_resume_are_added_once(tmp_path, monkeypatch):
    monkeypatch.setattr(compute_clock, "sums", lambda values: [3 * value for value in values])  # three processes alike
    clock, machine = ComputeClock(torch.device("cpu")), Machine()
    clock.now = lambda: machine.seconds
    (tmp_path / "compute_seconds.json").write_text(
        '{"training_cpu_seconds": 100.0, "sampling_cpu_seconds": 1.0, "other_cpu_seconds": 10.0}'
    )
    clock.load(tmp_path)
    clock.switch(TRAINING)
    machine.work(2.0)
    assert clock.totals() == {
        "training_cpu_seconds": 106.0,
        "sampling_cpu_seconds": 1.0,
        "other_cpu_seconds": 10.0,
    }


def test_counting_before_the_first_step_is_training_and_a_checkpoint_keeps_it(tmp_path):
    clock, machine = ComputeClock(torch.device("cpu")), Machine()
    clock.now = lambda: machine.seconds
    assert "counting_cpu_seconds" not in clock.totals()
    clock.charge(5.0)
    expected = {
        "training_cpu_seconds": 5.0,
        "sampling_cpu_seconds": 0.0,
        "counting_cpu_seconds": 5.0,
        "other_cpu_seconds": 0.0,
    }
    assert clock.totals() == expected
    clock.save(tmp_path)
    resumed = ComputeClock(torch.device("cpu"))
    resumed.load(tmp_path)
    assert resumed.totals() == expected


@pytest.mark.parametrize(("device", "unit"), [("cpu", "cpu"), ("cuda", "gpu")])
def test_sleep_is_no_cpu_second_but_a_gpu_second(device, unit):
    clock = ComputeClock(torch.device(device))
    clock.switch(TRAINING)
    time.sleep(0.3)
    clock.switch(OTHER)
    totals = clock.totals()
    assert (totals[f"training_{unit}_seconds"] >= 0.3) == (unit == "gpu")
    assert totals[f"other_{unit}_seconds"] < 0.3
