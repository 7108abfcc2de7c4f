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


def failure(folder, repository=None):
    """The explained exception of a push."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the test looks at which one)
        (repository or HubRepository(settings())).push(folder, "step-2", "Step 2")
    return explain(caught.value, REPOSITORY)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.safetensors").write_bytes(b"w" * 5000)
    return tmp_path / "files"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("hf_wrong", "the Hub does not accept the token (401: Invalid credentials"),
        ("hf_readOnly", "the token may not write to ada/pico (403: You don't have the rights"),
        ("hf_bob", "the token may not write to ada/pico (403"),
    ],
)
def test_wrong_token_is_a_one_line_error_before_training(hub, folder, token, message, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    caught = failure(folder)
    assert not caught.passing
    assert message in caught.message
    assert "\n" not in caught.message
    assert token not in caught.message
    with pytest.raises(InputError) as error:
        check_access(settings())
    assert str(error.value) == caught.message


def test_missing_token_is_named(hub, folder, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert failure(folder).message.startswith("there is no token (401: ")


def test_full_storage_and_missing_repository_are_not_retried(hub, folder):
    repository = HubRepository(settings())
    repository.open()
    hub.quota = 100
    caught = failure(folder, repository)
    assert "no space left (403: Private repository storage limit reached" in caught.message
    assert not caught.passing
    hub.quota = None
    del hub.storage.repositories[f"models/{REPOSITORY}"]
    assert "ada/pico does not exist, or the token may not see it (404: " in failure(folder, repository).message


def test_deleted_branch_is_created_again(hub, folder):
    repository = HubRepository(settings())
    repository.push(folder, "step-2", "Step 2")
    (folder / "model.safetensors").write_bytes(b"v" * 5000)
    hub.faults.add(Fault("status", "POST .*/commit/", 404, {"X-Error-Code": "RevisionNotFound"}))
    assert failure(folder, repository).passing
    del hub.storage.find("models", REPOSITORY)["branches"]["step-2"]
    repository.push(folder, "step-2", "Step 2")
    assert hub.storage.read("models", REPOSITORY, "step-2")["model.safetensors"] == b"v" * 5000


def test_busy_and_unreachable_hub_are_retried_after_the_asked_time(hub, folder):
    repository = HubRepository(settings())
    repository.open()
    for status, headers, wait in ((429, {"Retry-After": "7"}, 7), (503, {}, 0), (412, {}, 0)):
        hub.faults.add(Fault("status", "POST .*/branch/", status, headers))
        caught = failure(folder, repository)
        assert caught.passing
        assert caught.retry_after == wait
        assert caught.message == f"the Hub answers {status}: a fault of the test"
    hub.stop()
    caught = failure(folder, repository)
    assert caught.passing
    assert "cannot be reached" in caught.message


def test_dead_or_silent_hub_does_not_stop_training(hub, capsys):
    hub.faults.add(Fault("slow", "POST /api/repos/create", seconds=2))
    check_access(settings(), seconds=0.2)
    assert "no answer from the Hub within 0 s; training begins" in capsys.readouterr().err
    hub.stop()
    check_access(settings())
    assert "cannot be reached" in capsys.readouterr().err


def test_transfer_on_a_closed_client_is_retried(hub, folder):
    # As the client does when a thread loses the connection while others upload.
    get_session().close()
    try:
        caught = failure(folder)
    finally:
        close_session()
    assert caught.passing
    assert caught.message == "the transfer broke off: Cannot send a request, as the client has been closed."
    HubRepository(settings()).push(folder, "step-2", "Step 2")


def test_offline_mode_wrapped_network_errors_and_unknown_errors(monkeypatch, folder):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE=1 forbids" in failure(folder).message
    wrapped = RuntimeError("Error while uploading")
    wrapped.__cause__ = httpx2.ReadError("reset")
    assert explain(wrapped, REPOSITORY).passing
    caught = explain(OSError(28, "No space left on device"), REPOSITORY)
    assert not caught.passing
    assert "OSError: [Errno 28] No space left on device" in caught.message


def test_invalid_publish_arguments_are_named():
    with pytest.raises(InputError, match="publish_to must be user/name or organisation/name, got 'pico'"):
        settings(publish_to="pico")
    with pytest.raises(InputError, match="publish_to 'a b/c' is not a repository name"):
        settings(publish_to="a b/c")
    with pytest.raises(InputError, match="publish_main must be one of newest, best, got 'last'"):
        settings(publish_main="last")
    with pytest.raises(InputError, match="publish_state has no effect without publish_to: give publish_to"):
        PublishArguments(publish_state=True)
    with pytest.raises(InputError, match="publish_wait must be at least 0"):
        settings(publish_wait=-1)
    with pytest.raises(InputError, match="publish_retry must be above 0 seconds, got 0"):
        settings(publish_retry=0)
