import httpx2
import pytest
from hub_server import Fault
from huggingface_hub import close_session, constants, get_session
from published_run import REPOSITORY, settings

from pico_maml.recipes.publish.background import check_access
from pico_maml.recipes.publish.repository import HubRepository
from pico_maml.recipes.publish.settings import PublishArguments
from pico_maml.trainers import InputError
from pico_maml.trainers.hub import explain


def failure(files, repository=None, revision="step-2"):
    """What a push fails with."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (any: that is the question)
        (repository or HubRepository(settings())).push(files, revision, "Step 2")
    return explain(caught.value, REPOSITORY)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"w" * 5000)
    return {"model.safetensors": tmp_path / "model.safetensors"}


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("hf_wrong", "the Hub does not take the token (401: Invalid credentials"),
        ("hf_readOnly", "the token may not write to ada/pico (403: You don't have the rights"),
        ("hf_bob", "the token may not write to ada/pico (403"),
    ],
)
def test_a_wrong_token_is_one_line_before_training(hub, files, token, message, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    found = failure(files)
    assert not found.passing
    assert message in found.message
    assert "\n" not in found.message
    assert token not in found.message
    with pytest.raises(InputError) as caught:
        check_access(settings())
    assert str(caught.value) == found.message


def test_no_token(hub, files, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert failure(files).message.startswith("there is no token (401: ")


def test_no_space_and_no_such_repository(hub, files):
    repository = HubRepository(settings())
    repository.open()
    hub.quota = 100
    found = failure(files, repository)
    assert "no space left (403: Private repository storage limit reached" in found.message
    assert not found.passing
    hub.quota = None
    del hub.storage.repositories[f"models/{REPOSITORY}"]
    assert "ada/pico is not there, or not for this token (404: " in failure(files, repository).message


def test_a_branch_that_is_deleted_meanwhile_is_made_again(hub, files):
    repository = HubRepository(settings())
    repository.push(files, "step-2", "Step 2")
    files["model.safetensors"].write_bytes(b"v" * 5000)
    hub.faults.add(Fault("status", "POST .*/commit/", 404, {"X-Error-Code": "RevisionNotFound"}))
    assert failure(files, repository).passing
    del hub.storage.find("models", REPOSITORY)["branches"]["step-2"]
    repository.push(files, "step-2", "Step 2")
    assert hub.storage.read("models", REPOSITORY, "step-2")["model.safetensors"] == b"v" * 5000


def test_what_time_heals_is_tried_again(hub, files):
    repository = HubRepository(settings())
    repository.open()
    for status, headers, wait in ((429, {"Retry-After": "7"}, 7), (503, {}, 0), (412, {}, 0)):
        hub.faults.add(Fault("status", "POST .*/branch/", status, headers))
        found = failure(files, repository)
        assert found.passing
        assert found.retry_after == wait
        assert found.message == f"the Hub answers {status}: a fault of the test"
    hub.stop()
    found = failure(files, repository)
    assert found.passing
    assert "cannot be reached" in found.message


def test_a_dead_or_silent_hub_does_not_stop_training(hub, capsys):
    hub.faults.add(Fault("slow", "POST /api/repos/create", seconds=2))
    check_access(settings(), seconds=0.2)
    assert "no answer from the Hub within 0 s; training begins" in capsys.readouterr().err
    hub.stop()
    check_access(settings())
    assert "cannot be reached" in capsys.readouterr().err


def test_what_one_transfer_does_to_another_heals(hub, files):
    # As the client does when a thread loses the connection while others upload.
    get_session().close()
    try:
        found = failure(files)
    finally:
        close_session()
    assert found.passing
    assert found.message == "the transfer broke off: Cannot send a request, as the client has been closed."
    HubRepository(settings()).push(files, "step-2", "Step 2")


def test_offline_mode_and_what_nobody_thought_of(monkeypatch, files):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE=1 forbids" in failure(files).message
    wrapped = RuntimeError("Error while uploading")
    wrapped.__cause__ = httpx2.ReadError("reset")
    assert explain(wrapped, REPOSITORY).passing
    found = explain(OSError(28, "No space left on device"), REPOSITORY)
    assert not found.passing
    assert "OSError: [Errno 28] No space left on device" in found.message


def test_a_name_the_hub_does_not_take():
    with pytest.raises(InputError, match="publish_to must be user/name or organisation/name, got 'pico'"):
        settings(publish_to="pico")
    with pytest.raises(InputError, match="publish_to 'a b/c' is no repository name"):
        settings(publish_to="a b/c")
    with pytest.raises(InputError, match="publish_main must be one of newest, best, got 'last'"):
        settings(publish_main="last")
    with pytest.raises(InputError, match="publish_state says nothing without publish_to: give that, too"):
        PublishArguments(publish_state=True)
    with pytest.raises(InputError, match="publish_wait must be at least 0"):
        settings(publish_wait=-1)
