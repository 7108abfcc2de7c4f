import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.checkpoints.seal import seal


@pytest.fixture
def queue(run_folder):
    return PublishQueue(run_folder)


def test_frozen_checkpoint_is_a_hard_link_that_survives_deletion(queue, run_folder):
    checkpoint = run_folder / "checkpoint-2"
    weights = (checkpoint / "model.safetensors").read_bytes()
    queue.freeze(checkpoint, 2)
    (entry,) = queue.waiting()
    frozen = entry.state / "model.safetensors"
    assert frozen.samefile(checkpoint / "model.safetensors")
    for path in checkpoint.iterdir():
        path.unlink()
    assert frozen.read_bytes() == weights
    assert entry.name == "step-2"


def test_frozen_logs_are_copies_with_the_rows_up_to_the_step(queue, run_folder):
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "cut off by a cr')
    queue.freeze(run_folder / "checkpoint-2", 2)
    queue.freeze(run_folder / "checkpoint-4", 4)
    steps = []
    for entry in queue.waiting():
        lines = (entry.state / "run" / "metrics.jsonl").read_text().splitlines()
        steps.append([json.loads(line)["step"] for line in lines])
    assert steps == [[2, 2], [2, 2, 4, 4]]
    (run_folder / "metrics.jsonl").write_text("")
    assert (queue.waiting()[0].state / "run" / "metrics.jsonl").read_text(), "a copy, not a link"


def test_same_weights_are_queued_once_and_other_weights_of_the_step_again(queue, run_folder):
    checkpoint = run_folder / "checkpoint-2"
    queue.freeze(checkpoint, 2)
    queue.freeze(checkpoint, 2)
    assert len(queue.waiting()) == 1
    queue.finish(queue.waiting()[0], {"commit": "c"})
    queue.freeze(checkpoint, 2)
    assert not queue.waiting()
    assert [record["commit"] for record in queue.published()] == ["c"]
    # As after a resume with other arguments; a checkpoint is renamed into place, never written into.
    for name in ("model.safetensors", "COMPLETE"):
        (checkpoint / name).unlink()
    save_file({"w": torch.ones(3)}, checkpoint / "model.safetensors")
    seal(checkpoint, 2, 1)
    queue.freeze(checkpoint, 2)
    assert [entry.step for entry in queue.waiting()] == [2]


def test_queue_can_be_read_while_another_process_finishes_entries(queue, run_folder):
    """Training looks so until the queue is empty; entries that vanish meanwhile must not be an error."""
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
    (queue.waiting_path / "000001-final-2").mkdir()
    assert not queue.waiting()
    assert not queue.empty(), "files of an uploaded entry are still being deleted"


def test_entry_that_was_recorded_before_a_kill_is_deleted_and_not_published_again(queue, run_folder, monkeypatch):
    queue.freeze(run_folder / "checkpoint-2", 2)
    (entry,) = queue.waiting()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
        queue.finish(entry, {"commit": "c"})
    assert entry.path.exists()
    assert not queue.waiting()
    with queue.locked():
        assert not entry.path.exists()
    assert queue.empty()


def test_finished_run_is_frozen_with_its_tagger_results_and_without_its_checkpoints(queue, run_folder):
    (run_folder / "ner").mkdir()
    (run_folder / "ner" / "results.json").write_text("{}")
    queue.freeze(run_folder, 4, final=True)
    (entry,) = queue.waiting()
    frozen = {str(path.relative_to(entry.path)) for path in entry.path.rglob("*") if path.is_file()}
    assert {"state/model.safetensors", "state/run/results.json", "state/run/ner/results.json"} <= frozen
    assert not [name for name in frozen if "checkpoint-" in name]


def test_unfinished_entry_is_not_in_the_queue(queue, run_folder):
    queue.freeze(run_folder / "checkpoint-2", 2)
    (queue.path / "freezing" / "000002-step-4-0123.123" / "state").mkdir(parents=True)
    assert [entry.step for entry in queue.waiting()] == [2]


def test_only_one_process_gets_the_lock(queue):
    with queue.locked(), pytest.raises(InputError, match="another process publishes"), queue.locked():
        pass
    with ThreadPoolExecutor() as pool:
        locked = threading.Event()

        def wait_for_lock():
            with queue.locked(wait=True):
                locked.set()

        with queue.locked():
            waiting = pool.submit(wait_for_lock)
            assert not locked.wait(0.1)
        waiting.result(timeout=10)
    assert locked.is_set()
