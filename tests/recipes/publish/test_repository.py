import pytest
from hub_server import Fault
from huggingface_hub.errors import HfHubHTTPError
from published_run import REPOSITORY, settings

from pico_maml.recipes.publish.repository import HubRepository
from pico_maml.trainers.errors import PublishError


@pytest.fixture
def folder(tmp_path):
    contents = {"config.json": b"{}", "model.safetensors": b"w" * 5000, "empty.txt": b"", "a/b/c.bin": b"\0\1" * 9}
    for path, content in contents.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    return tmp_path / "files"


@pytest.fixture
def repository(hub):
    return HubRepository(settings())


def titles(hub, revision):
    repository = hub.storage.find("models", REPOSITORY)
    return [commit["title"] for _, commit in hub.storage.history(repository, revision)]


def held(hub, revision):
    files = hub.storage.read("models", REPOSITORY, revision)
    return {path: content for path, content in files.items() if path != ".gitattributes"}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_revision_is_one_commit_on_an_empty_branch(hub, repository, folder):
    local = contents(folder)
    commit = repository.push(folder, "step-2", "Step 2")
    assert held(hub, "step-2") == local
    assert held(hub, "main") == {}
    assert titles(hub, "step-2") == ["Step 2 (run 0123abcd)", "initial commit"]
    assert HubRepository(settings()).push(folder, "step-2", "Step 2") == commit, "another process commits nothing"
    assert len(titles(hub, "step-2")) == 2
    uploads = [request for request in hub.requests if request.startswith("PUT")]
    repository.push(folder, "main", "Step 2")
    assert held(hub, "main") == local
    assert [request for request in hub.requests if request.startswith("PUT")] == uploads, "blobs travel once"


def test_revision_holds_the_pushed_files_and_no_others(hub, repository, folder):
    repository.push(folder, "main", "Step 2")
    (folder / "config.json").write_bytes(b'{"a": 1}')
    (folder / "a/b/c.bin").unlink()
    repository.push(folder, "main", "Step 4")
    assert held(hub, "main") == contents(folder)
    before = contents(folder)
    for path in before:
        (folder / path).unlink()
    (folder / "README.md").write_text("a card")
    repository.push(folder, "main", "End", delete_others=False)
    assert held(hub, "main") == before | {"README.md": b"a card"}


@pytest.mark.parametrize("path", ["branch", "commit"])
def test_retry_after_a_lost_answer_commits_nothing(hub, repository, folder, path):
    repository.open()
    hub.faults.add(Fault("lost", f"POST .*/{path}/step-2"))
    with pytest.raises(Exception, match="disconnected"):
        repository.push(folder, "step-2", "Step 2")
    repository.push(folder, "step-2", "Step 2")
    assert titles(hub, "step-2") == ["Step 2 (run 0123abcd)", "initial commit"]


def test_commit_fails_when_the_branch_moved_meanwhile(hub, repository, folder, tmp_path, monkeypatch):
    repository.push(folder, "main", "Step 2")
    (folder / "config.json").write_bytes(b"[]")
    upload = repository.api.upload_folder

    def overtaken(**arguments):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "config.json").write_text("other")
        HubRepository(settings()).push(tmp_path / "other", "main", "Meanwhile", delete_others=False)
        return upload(**arguments)

    monkeypatch.setattr(repository.api, "upload_folder", overtaken)
    with pytest.raises(HfHubHTTPError) as caught:
        repository.push(folder, "main", "Step 4")
    assert caught.value.response.status_code == 412
    assert titles(hub, "main")[0] == "Meanwhile (run 0123abcd)"


def test_revisions_of_another_run_are_not_overwritten(hub, repository, folder):
    repository.push(folder, "step-2", "Step 2")
    other = HubRepository(settings())
    other.run_id = "ffffffff"
    (folder / "config.json").write_bytes(b"[]")
    with pytest.raises(PublishError, match=r"has a revision step-2 that this run did not make \('Step 2 \(run 0123"):
        other.push(folder, "step-2", "Step 2")
    repository.push(folder, "main", "Step 2")
    other.root = ""
    with pytest.raises(PublishError, match=r"already holds something else \('Step 2 \(run 0123abcd\)'\): choose"):
        other.open()


def test_repository_with_only_a_readme_counts_as_empty_and_private_is_private(hub, folder):
    hub.storage.create("models", REPOSITORY, private=False)
    readme = {"key": "file", "value": {"path": "README.md", "content": "aGk="}}
    header = {"key": "header", "value": {"summary": "Create README.md"}}
    hub.storage.commit("models", REPOSITORY, "main", [header, readme])
    HubRepository(settings()).push(folder, "main", "Step 2")
    assert held(hub, "main") == contents(folder)
    private = HubRepository(settings(publish_to="lab/hidden", publish_private=True))
    private.open()
    assert hub.storage.find("models", "lab/hidden")["private"]


def test_setting_a_tag_twice_is_no_error(hub, repository, folder):
    commit = repository.push(folder, "step-2", "Step 2")
    for _ in range(2):
        repository.tag("published-step-2", commit)
    assert hub.storage.find("models", REPOSITORY)["tags"] == {"published-step-2": commit}
    assert not hub.unknown
