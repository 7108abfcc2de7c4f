import pytest
from published_run import REPOSITORY, settings

from pico_maml.recipes.publish.background import BackgroundPublisher
from pico_maml.recipes.publish.publisher import Publisher, is_best
from pico_maml.recipes.publish.queue import PublishQueue
from pico_maml.recipes.publish.repository import HubRepository
from pico_maml.trainers.errors import PublishError


def publisher(run, **changes):
    made = settings(**changes)
    return Publisher(PublishQueue(run), made, HubRepository(made))


def titles(hub, revision):
    repository = hub.storage.find("models", REPOSITORY)
    return [commit["title"].split(" (run")[0] for _, commit in hub.storage.history(repository, revision)]


def test_every_checkpoint_its_state_and_main(hub, run_folder):
    work = publisher(run_folder, publish_state=True, publish_tags=True)
    for step in (2, 4):
        work.queue.freeze(run_folder / f"checkpoint-{step}", step)
    local = {p.name: p.read_bytes() for p in (run_folder / "checkpoint-2").iterdir()}
    work.queue.freeze(run_folder, 4, final=True)
    work.run()
    assert not work.queue.waiting()
    step = hub.storage.read("models", REPOSITORY, "step-2")
    assert step["model.safetensors"] == local["model.safetensors"]
    assert not {"optimizer_state.safetensors", "COMPLETE"} & set(step)
    assert {"README.md", "metrics.jsonl", "arguments.json", "modeling_pico.py"} <= set(step)
    assert b'"step": 4' not in step["metrics.jsonl"]
    state = hub.storage.read("models", REPOSITORY, "state-step-2")
    assert {path: state[path] for path in local} == local
    assert {path for path in state if path.startswith("run/")} == {
        "run/arguments.json",
        "run/metrics.jsonl",
        "run/results.json",
    }
    assert titles(hub, "main") == ["The finished run, step 4", "Step 4", "Step 2", "initial commit"]
    assert titles(hub, "step-4") == ["Step 4", "initial commit"]
    assert "figures/curves.png" in hub.storage.read("models", REPOSITORY, "step-4")
    assert set(hub.storage.find("models", REPOSITORY)["tags"]) == {"published-step-2", "published-step-4"}
    commits = len(hub.storage.find("models", REPOSITORY)["commits"])
    for step in (2, 4):
        work.queue.freeze(run_folder / f"checkpoint-{step}", step)
    work.queue.freeze(run_folder, 4, final=True)
    work.run()
    assert len(hub.storage.find("models", REPOSITORY)["commits"]) == commits, "again: nothing twice"


def test_main_keeps_the_best(hub, run_folder):
    work = publisher(run_folder, publish_main="best")
    for step in (2, 4):
        work.queue.freeze(run_folder / f"checkpoint-{step}", step)
    work.queue.freeze(run_folder, 4, final=True)
    best = (run_folder / "checkpoint-2" / "model.safetensors").read_bytes()
    work.run()
    main = hub.storage.read("models", REPOSITORY, "main")
    assert main["model.safetensors"] == best
    assert b"weights of the finished run after 2 optimizer steps" in main["README.md"]
    assert b'"step": 4' in main["metrics.jsonl"], "what is said of the run is complete"
    assert titles(hub, "main") == ["The finished run", "Step 2", "initial commit"]


def test_lowest_loss_wins_and_unknown_never():
    before = [{"eval_next_token_loss": 3.0}]
    assert is_best(2.9, before)
    assert not is_best(3.0, before)
    assert not is_best(None, before)
    assert is_best(None, [])
    assert is_best(2.0, [{"eval_next_token_loss": None}])


def test_what_is_refused_stays_queued_and_is_said(hub, run_folder):
    work = publisher(run_folder)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    hub.quota = 100
    with pytest.raises(PublishError, match="no space left"):
        work.run()
    assert "no space left" in work.queue.trouble
    assert [entry.name for entry in work.queue.waiting()] == ["step-2"]
    hub.quota = None
    work.run()
    assert work.queue.trouble is None
    assert titles(hub, "step-2") == ["Step 2", "initial commit"]


def test_without_training_it_gives_up_after_a_while(hub, run_folder):
    work = publisher(run_folder, publish_wait=0.3)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    hub.stop()
    with pytest.raises(PublishError, match="given up after 0 s: the Hub cannot be reached"):
        work.run()
    assert len(work.queue.waiting()) == 1


def test_when_training_was_killed_the_queue_is_emptied_and_it_ends(hub, run_folder):
    work = publisher(run_folder)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    work.run(training=2**22 + 1)  # no process has this number
    assert titles(hub, "step-2") == ["Step 2", "initial commit"]


def test_the_end_waits_no_longer_than_it_is_told(hub, run_folder):
    made = settings(publish_wait=0.0)
    made.save(run_folder)
    with pytest.raises(PublishError, match=r"not all of it is on the Hub: main \(not done after 0 s\); send the rest"):
        BackgroundPublisher(run_folder, made).finish(4)
