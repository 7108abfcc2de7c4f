import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

from pico_maml.recipes.publish.queue import PublishQueue


@pytest.fixture
def queue(run_folder):
    return PublishQueue(run_folder)


def test_an_entry_outlives_the_checkpoint_and_costs_no_disk(queue, run_folder):
    checkpoint = run_folder / "checkpoint-2"
    weights = (checkpoint / "model.safetensors").read_bytes()
    queue.freeze(checkpoint, 2)
    (entry,) = queue.waiting()
    frozen = entry.path / "checkpoint" / "model.safetensors"
    assert frozen.samefile(checkpoint / "model.safetensors")
    for path in checkpoint.iterdir():
        path.unlink()
    assert frozen.read_bytes() == weights
    assert entry.name == "step-2"


def test_of_files_that_grow_an_entry_has_the_rows_up_to_its_step(queue, run_folder):
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "cut off by a cr')
    queue.freeze(run_folder / "checkpoint-2", 2)
    queue.freeze(run_folder / "checkpoint-4", 4)
    steps = []
    for entry in queue.waiting():
        lines = (entry.path / "run" / "metrics.jsonl").read_text().splitlines()
        steps.append([json.loads(line)["step"] for line in lines])
    assert steps == [[2, 2], [2, 2, 4, 4]]
    (run_folder / "metrics.jsonl").write_text("")
    assert (queue.waiting()[0].path / "run" / "metrics.jsonl").read_text(), "a copy, not a second name"


def test_the_same_weights_are_queued_once_and_others_again(queue, run_folder):
    checkpoint = run_folder / "checkpoint-2"
    queue.freeze(checkpoint, 2)
    queue.freeze(checkpoint, 2)
    assert len(queue.waiting()) == 1
    queue.finish(queue.waiting()[0], {"commit": "c"})
    queue.freeze(checkpoint, 2)
    assert not queue.waiting()
    assert [record["commit"] for record in queue.published()] == ["c"]
    # As after a resume with other arguments; a checkpoint is renamed into place, never written into.
    (checkpoint / "model.safetensors").unlink()
    save_file({"w": torch.ones(3)}, checkpoint / "model.safetensors")
    queue.freeze(checkpoint, 2)
    assert [entry.step for entry in queue.waiting()] == [2]


def test_one_process_looks_while_another_finishes(queue, run_folder):
    """As training does until all is on the Hub: it must neither fall over half an entry nor end too early."""
    rounds = 200
    seen = threading.Event()

    def work():
        for number in range(rounds):
            queue.freeze(run_folder / "checkpoint-2", 2, final=True)
            queue.finish(queue.waiting()[0], {"commit": str(number)})
        seen.set()

    with ThreadPoolExecutor() as pool:
        done = pool.submit(work)
        while not seen.is_set() and not done.done():
            queue.waiting()
            queue.empty()
        done.result()
    assert len(queue.published()) == rounds
    assert queue.empty()
    (queue.waiting_path / ".000001-final-2.done").mkdir()
    assert not queue.waiting()
    assert not queue.empty(), "its files are still being deleted"


def test_a_finished_run_is_frozen_without_its_checkpoints(queue, run_folder):
    (run_folder / "ner").mkdir()
    (run_folder / "ner" / "results.json").write_text("{}")
    (run_folder / "training_args.bin").write_bytes(b"a pickle")
    queue.freeze(run_folder, 4, final=True)
    (entry,) = queue.waiting()
    frozen = {str(path.relative_to(entry.path)) for path in entry.path.rglob("*") if path.is_file()}
    assert {"checkpoint/model.safetensors", "run/results.json", "run/ner/results.json"} <= frozen
    assert not [name for name in frozen if "training_args" in name or "checkpoint-" in name]


def test_half_an_entry_is_nobodys_business(queue, run_folder):
    queue.freeze(run_folder / "checkpoint-2", 2)
    (queue.waiting_path / ".000002-step-4.123" / "checkpoint").mkdir(parents=True)
    assert [entry.step for entry in queue.waiting()] == [2]


def test_one_process_has_the_lock(queue):
    with queue.locked() as mine:
        assert mine
        with queue.locked() as too:
            assert not too
    with queue.locked() as again:
        assert again
