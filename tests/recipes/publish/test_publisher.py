import pytest
from published_run import REPOSITORY, settings

from pico_maml.recipes.publish import command as publish
from pico_maml.recipes.publish.background import BackgroundPublisher
from pico_maml.recipes.publish.publisher import Publisher, is_best
from pico_maml.trainers.errors import PublishError


def publisher(run, **changes):
    return Publisher(run, settings(**changes))


def titles(hub, revision):
    repository = hub.storage.find("models", REPOSITORY)
    return [commit["title"].split(" (run")[0] for _, commit in hub.storage.history(repository, revision)]


def test_checkpoints_states_tags_and_main_are_uploaded_once(hub, run_folder):
    work = publisher(run_folder, publish_state=True, publish_tags=True)
    for step in (2, 4):
        work.queue.freeze(run_folder / f"checkpoint-{step}", step)
    local = {p.name: p.read_bytes() for p in (run_folder / "checkpoint-2").iterdir()}
    (run_folder / "training_args.bin").write_bytes(b"a pickle")
    work.queue.freeze(run_folder, 4, final=True)
    work.run()
    assert work.queue.empty()
    assert "training_args.bin" not in hub.storage.read("models", REPOSITORY, "main")
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
    assert len(hub.storage.find("models", REPOSITORY)["commits"]) == commits, "a second time commits nothing"


def test_main_holds_the_best_weights_and_the_complete_logs(hub, run_folder):
    work = publisher(run_folder, publish_main="best")
    for step in (2, 4):
        work.queue.freeze(run_folder / f"checkpoint-{step}", step)
    work.queue.freeze(run_folder, 4, final=True)
    best = (run_folder / "checkpoint-2" / "model.safetensors").read_bytes()
    work.run()
    main = hub.storage.read("models", REPOSITORY, "main")
    assert main["model.safetensors"] == best
    assert b"weights of the finished run after 2 optimizer steps" in main["README.md"]
    assert b'"step": 4' in main["metrics.jsonl"], "the logs are those of the finished run"
    assert titles(hub, "main") == ["The finished run", "Step 2", "initial commit"]


def test_only_a_lower_known_loss_is_best():
    before = [{"eval_next_token_loss": 3.0}]
    assert is_best(2.9, before)
    assert not is_best(3.0, before)
    assert not is_best(None, before)
    assert is_best(None, [])
    assert is_best(2.0, [{"eval_next_token_loss": None}])


def test_rejected_entry_stays_queued_with_its_reason(hub, run_folder):
    work = publisher(run_folder)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    hub.quota = 100
    with pytest.raises(PublishError, match="no space left"):
        work.run()
    assert "no space left" in work.queue.trouble
    assert [entry.name for entry in work.queue.waiting()] == ["step-2"]
    hub.quota = None
    work.run()
    assert work.queue.trouble == ""
    assert titles(hub, "step-2") == ["Step 2", "initial commit"]


def test_publisher_without_training_gives_up_after_publish_wait(hub, run_folder):
    work = publisher(run_folder, publish_wait=0.3)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    hub.stop()
    with pytest.raises(PublishError, match="given up after 0 s: the Hub cannot be reached"):
        work.run()
    assert len(work.queue.waiting()) == 1


def test_publisher_of_a_killed_training_empties_the_queue_and_ends(hub, run_folder):
    work = publisher(run_folder)
    work.queue.freeze(run_folder / "checkpoint-2", 2)
    work.run(training=2**22 + 1)  # no process has this number
    assert titles(hub, "step-2") == ["Step 2", "initial commit"]


def test_finish_waits_no_longer_than_publish_wait(hub, run_folder):
    short = settings(publish_wait=0.0)
    short.save(run_folder)
    with pytest.raises(PublishError, match=r"not all of it is on the Hub: main \(not done after 0 s\); send the rest"):
        BackgroundPublisher(run_folder, short).finish(4)


def test_damaged_checkpoint_is_named_after_all_others_are_published(hub, run_folder):
    (run_folder / "checkpoint-2" / "optimizer_state.safetensors").unlink()
    with pytest.raises(PublishError, match=r"checkpoint-2 is damaged \(optimizer_state\.safetensors is missing\)"):
        publish.main([str(run_folder), f"--publish_to={REPOSITORY}"])
    assert titles(hub, "step-4") == ["Step 4", "initial commit"]
