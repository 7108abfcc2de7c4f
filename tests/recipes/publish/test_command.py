"""A run is published through a Hub that fails and restarts; others then load, resume and evaluate what is there."""

import copy
import json
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hub_server import Account, Fault, HubServer
from pretrain_run import argv
from published_run import REPOSITORY, TOKEN, connect, settings

from pico_maml import PicoForCausalLM
from pico_maml.recipes.arguments.parser import run
from pico_maml.recipes.pretrain import command as pretrain
from pico_maml.recipes.publish import command as publish
from pico_maml.recipes.publish.resuming import fetch_state
from pico_maml.recipes.publish.settings import PublishArguments, load_settings
from pico_maml.trainers import InputError
from pico_maml.trainers.runs.files import RESULTS_FILE

STEPS = range(1, 7)
FAULTS = (
    Fault("status", "POST .*/commit/", 500),
    Fault("status", "POST .*/branch/", 429, {"Retry-After": "1"}),
    Fault("status", "GET .*/revision/", 503),
    Fault("lost", "POST .*/commit/step", times=2),
    Fault("lost", "POST .*/commit/main"),
    Fault("lost", "POST .*/branch/state"),
    Fault("cut", "PUT /upload", times=2),
    Fault("slow", "POST .*/commit/step-5", seconds=0.5),
)


def in_another_process(code: str, *arguments: str, folder: Path) -> str:
    """Run Python code; returns what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.run(command, timeout=200, capture_output=True, text=True, cwd=folder)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.fixture(scope="module")
def published(corpus, tmp_path_factory):
    """Six checkpoints with their training states, through a server that fails and restarts at random."""
    work = tmp_path_factory.mktemp("published")
    hub = HubServer(work / "hub", {TOKEN: Account("ada")}).start()
    faults = copy.deepcopy(FAULTS)
    hub.faults.add(*faults)
    draw, restarts = random.Random(0), []

    def restart():
        for upload in (6, 18, 36):
            while sum(request.startswith("POST") for request in hub.requests) < upload:
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 0.1))
            hub.stop()
            time.sleep(draw.uniform(0.1, 0.4))
            hub.start()
            restarts.append(upload)

    threading.Thread(target=restart, daemon=True).start()
    options = {"max_steps": 6, "save_steps": 1, "logging_steps": 1}
    arguments = argv(work / "run", corpus, publish_to=REPOSITORY, publish_state=True, publish_retry=0.1, **options)
    quiet = argv(work / "quiet", corpus, **options)
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, hub, work / "home")
        pretrain.main([*arguments, "--save_total_limit=2"])
        pretrain.main(quiet)  # the same without a Hub, which keeps all its checkpoints
        yield SimpleNamespace(
            hub=hub,
            work=work,
            run=work / "run",
            quiet=work / "quiet",
            options=options,
            faults=faults,
            restarts=restarts,
        )
    hub.stop()


def titles(hub, revision):
    repository = hub.storage.find("models", REPOSITORY)
    return [commit["title"].split(" (run")[0] for _, commit in hub.storage.history(repository, revision)]


def test_every_checkpoint_is_uploaded_once_with_the_same_bytes_despite_faults(published):
    hub = published.hub
    assert all(fault.met == fault.times for fault in published.faults), "every fault was met"
    assert len(published.restarts) == 3
    for step in STEPS:
        local = published.quiet / f"checkpoint-{step}"
        step_files = hub.storage.read("models", REPOSITORY, f"step-{step}")
        state = hub.storage.read("models", REPOSITORY, f"state-step-{step}")
        for name in ("model.safetensors", "tokenizer.json", "generation_config.json"):
            assert step_files[name] == (local / name).read_bytes(), (step, name)
        for name in ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "maml_state.safetensors"):
            assert state[name] == (local / name).read_bytes(), (step, name)
        assert titles(hub, f"step-{step}") == [f"Step {step}", "initial commit"]
        assert titles(hub, f"state-step-{step}") == [f"Step {step}, training state", "initial commit"]
    last = [f"Step {step}" for step in reversed(STEPS)]
    assert titles(hub, "main") == ["The finished run, step 6", *last, "initial commit"]
    kept = {path.name for path in published.run.glob("checkpoint-*")}
    assert kept == {"checkpoint-5", "checkpoint-6"}, "checkpoints rotate while their links wait"
    weights = (published.run / "model.safetensors").read_bytes()
    assert weights == (published.quiet / "model.safetensors").read_bytes()
    assert not list((published.run / ".publish" / "waiting").iterdir())
    assert not hub.unknown


def test_token_is_written_to_no_file(published):
    files = [path for path in published.work.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"requests.log", "state.json", "publish.log", "metrics.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


WITHOUT_PACKAGE = """
import sys, json
sys.modules["pico_maml"] = None  # not installed
import re, torch
from pathlib import Path
from huggingface_hub import ModelCard
card = ModelCard.load("{repository}")
(code,) = re.findall(r"```python\\n(.*?)```", card.content, re.S)
exec(code)
assert card.data.eval_results[0].metric_type == "perplexity"
from transformers import AutoModelForCausalLM
ids, last = torch.arange(3, 19)[None], {{}}
for step in range(1, 7):
    model = AutoModelForCausalLM.from_pretrained("{repository}", revision=f"step-{{step}}", trust_remote_code=True)
    assert "pico_maml" not in type(model).__module__
    last[step] = model.eval()(ids).logits[0, -1, :8].tolist()
print(json.dumps(last))
"""


def test_code_on_the_card_loads_every_revision_without_the_package(published):
    printed = in_another_process(WITHOUT_PACKAGE.format(repository=REPOSITORY), folder=published.work)
    logits_by_step = json.loads(printed.splitlines()[-1])
    assert list(map(int, logits_by_step)) == list(STEPS)
    for step, logits in logits_by_step.items():
        model = PicoForCausalLM.from_pretrained(published.quiet / f"checkpoint-{step}")
        torch.testing.assert_close(torch.tensor(logits), model(torch.arange(3, 19)[None]).logits[0, -1, :8])


WITH_PACKAGE = """
import sys, torch
from transformers import AutoModelForCausalLM
from pico_maml import PicoForCausalLM
for step in range(1, 7):
    model = AutoModelForCausalLM.from_pretrained("{repository}", revision=f"step-{{step}}")
    assert isinstance(model, PicoForCausalLM)
    local = PicoForCausalLM.from_pretrained(sys.argv[1] + f"/checkpoint-{{step}}").state_dict()
    assert local.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, local[name]) for name, weight in model.state_dict().items())
print("all equal")
"""


def test_every_revision_loads_with_the_package_without_remote_code(published):
    # Its own process: transformers keeps a client, and with it the address of the Hub that it first spoke to.
    code = WITH_PACKAGE.format(repository=REPOSITORY)
    assert in_another_process(code, str(published.quiet), folder=published.work).endswith("all equal\n")


def test_resume_from_the_hub_gives_same_weights_as_the_uninterrupted_run(published, corpus):
    away = published.work / "away"
    pretrain.main([*argv(away, corpus, **published.options), f"--resume_from={REPOSITORY}@state-step-4"])
    for name in ("model.safetensors", "checkpoint-6/optimizer.pt", "checkpoint-6/maml_state.safetensors"):
        assert (away / name).read_bytes() == (published.quiet / name).read_bytes()
    logs = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (away, published.quiet)]
    assert len(logs[0]) == len(logs[1])
    assert not (away / "checkpoint-3").exists(), "it did not start from step 0"


def test_resume_goes_on_with_a_state_that_was_fetched_before(published, corpus, caplog):
    """The same line starts the job and is queued again."""
    away = published.work / "queued"
    line = [*argv(away, corpus, **published.options), f"--resume_from={REPOSITORY}@state-step-4", "--resume"]
    pretrain.main(line)
    assert f"{away}: goes on from checkpoint-4" in caplog.messages
    (away / "results.json").unlink()
    pretrain.main(line)
    assert f"{away}: goes on from checkpoint-6" in caplog.messages
    assert (away / "model.safetensors").read_bytes() == (published.quiet / "model.safetensors").read_bytes()


def test_fetch_state_takes_the_newest_and_names_what_is_missing(published, tmp_path):
    run_id = fetch_state("hub", REPOSITORY, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint-6" / "COMPLETE").exists()
    assert run_id == load_settings(published.run).run_id, "it goes on as the same run"
    for source, to, message in (
        (
            f"{REPOSITORY}@state-step-99",
            None,
            "has no training state state-step-99; it has state-step-1, state-step-2",
        ),
        (f"{REPOSITORY}@step-2", None, "takes `hub` or user/name@state-step-N, got 'ada/pico@step-2'"),
        ("hub", None, "resume_from hub needs a repository"),
        ("hub", "ada/none", "cannot resume from the Hub: ada/none does not exist"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            fetch_state(source, to, tmp_path / "other")
    published.hub.stop()
    try:
        with pytest.raises(InputError, match="cannot resume from the Hub: the Hub cannot be reached"):
            fetch_state("hub", REPOSITORY, tmp_path / "other")
    finally:
        published.hub.start()
    assert not (tmp_path / "other").exists()


RECIPES = """
import sys
from huggingface_hub import scan_cache_dir
from pico_maml.recipes.evaluate import command as evaluate
from pico_maml.recipes.finetune import command as finetune
from pico_maml.recipes.publish import command as publish
from pico_maml.trainers import InputError
corpus = ["--dataset", sys.argv[1], "--block_size=48", "--eval_blocks=8", "--eval_fraction=0.1", "--episodes=0"]
served = evaluate.main(["--model", "{repository}@step-3", "--delete_downloads=True", *corpus])
assert not list(scan_cache_dir().repos), "downloads are deleted"
local = evaluate.main(["--model", sys.argv[2], *corpus])
assert served["next_token_loss"] == local["next_token_loss"]
kept = evaluate.main(["--model", "{repository}", "--revision=step-6", *corpus])
evaluate.main(["--model", "{repository}@step-3", "--delete_downloads=True", *corpus])
(repository,) = scan_cache_dir().repos
assert [sorted(revision.refs) for revision in repository.revisions] == [["step-6"]], "the earlier one stays"
finetune.main(["--model", "{repository}@step-3", "--treebank=sample", "--mode=head", "--max_steps=1",
               "--output_dir=tagger", "--disable_tqdm=True"])
publish.main(["tagger", "--publish_to=ada/tagger"])
for name in ("{repository}", "{repository}@step-3", "{repository}@state-step-3"):
    of_record = evaluate.main(["--model", name, "--episodes=0", "--delete_downloads=True"])
    assert of_record["text"]["relation"] == "held out from training"
    assert of_record["text"]["name"] == "10 % of " + sys.argv[1]
    try:
        evaluate.main(["--model", name, "--eval_fraction=0.2"])
    except InputError as error:
        assert "eval_fraction is 0.2, but the run held out 0.1" in str(error), error
    else:
        raise AssertionError(name)
assert [sorted(revision.refs) for revision in repository.revisions] == [["step-6"]], "records are not kept either"
for name, message in (("{repository}@step-99", "step-99"), ("{repository}@", "user/name[@revision]")):
    try:
        evaluate.main(["--model", name, *corpus])
    except InputError as error:
        assert message in str(error), error
    else:
        raise AssertionError(name)
"""


def test_recipes_take_a_revision_in_place_of_a_folder(published, corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    checkpoint = str(published.quiet / "checkpoint-3")
    in_another_process(RECIPES.format(repository=REPOSITORY), corpus, checkpoint, folder=tmp_path)
    card = published.hub.storage.read("models", "ada/tagger", "main")["README.md"].decode()
    assert "task:\n      type: token-classification" in card
    assert json.loads((tmp_path / "tagger" / RESULTS_FILE).read_text())["treebank"] in card


def test_full_hub_saves_the_run_and_exits_with_code_3_until_published_later(corpus, tmp_path, monkeypatch, capsys):
    with HubServer(tmp_path / "hub", {TOKEN: Account("ada")}, quota=1000) as hub:
        connect(monkeypatch, hub, tmp_path / "home")
        with pytest.raises(SystemExit) as caught:
            run(lambda: pretrain.main(argv(tmp_path / "run", corpus, publish_to=REPOSITORY)))
        assert caught.value.code == 3
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: training is done and saved in")
        assert "step-2, step-4, main (ada/pico: no space left (403" in error
        assert f"send the rest with `python -m pico_maml.recipes.publish {tmp_path / 'run'}`" in error
        assert (tmp_path / "run" / "model.safetensors").exists()
        hub.quota = None
        publish.main([str(tmp_path / "run")])
        assert titles(hub, "main") == ["The finished run, step 4", "Step 4", "Step 2", "initial commit"]


def test_publish_needs_a_model_a_repository_and_the_same_repository_again(pretrained, tmp_path):
    with pytest.raises(InputError, match=r"holds no model\.safetensors and no checkpoint-N: nothing to publish"):
        publish.settings_for(tmp_path, PublishArguments())
    with pytest.raises(InputError, match="was never published: name a repository with --publish_to user/name"):
        publish.settings_for(pretrained, PublishArguments())
    (tmp_path / "model.safetensors").touch()
    settings().save(tmp_path)
    with pytest.raises(InputError, match="is published to ada/pico already: keep that, or delete"):
        publish.settings_for(tmp_path, PublishArguments(publish_to="ada/other"))
