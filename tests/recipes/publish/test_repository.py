import pytest
from hub_server import Fault
from huggingface_hub.errors import HfHubHTTPError
from published_run import REPOSITORY, settings

from pico_maml.recipes.publish.repository import HubRepository
from pico_maml.trainers.errors import PublishError


@pytest.fixture
def files(tmp_path):
    contents = {"config.json": b"{}", "model.safetensors": b"w" * 5000, "empty.txt": b"", "a/b/c.bin": b"\0\1" * 9}
    for path, content in contents.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    return {path: tmp_path / "files" / path for path in contents}


@pytest.fixture
def repository(hub):
    return HubRepository(settings())


def titles(hub, revision):
    repository = hub.storage.find("models", REPOSITORY)
    return [commit["title"] for _, commit in hub.storage.history(repository, revision)]


def held(hub, revision):
    found = hub.storage.read("models", REPOSITORY, revision)
    return {path: content for path, content in found.items() if path != ".gitattributes"}


def test_a_revision_is_one_commit_on_an_empty_branch(hub, repository, files):
    local = {path: file.read_bytes() for path, file in files.items()}
    commit = repository.push(files, "step-2", "Step 2")
    assert held(hub, "step-2") == local
    assert held(hub, "main") == {}
    assert titles(hub, "step-2") == ["Step 2 (run 0123abcd)", "initial commit"]
    assert HubRepository(settings()).push(files, "step-2", "Step 2") == commit, "another process finds it done"
    assert len(titles(hub, "step-2")) == 2
    uploads = [request for request in hub.requests if request.startswith("PUT")]
    repository.push(files, "main", "Step 2")
    assert held(hub, "main") == local
    assert [request for request in hub.requests if request.startswith("PUT")] == uploads, "blobs travel once"


def test_a_revision_holds_the_files_and_no_others(hub, repository, files):
    repository.push(files, "main", "Step 2")
    files["config.json"].write_bytes(b'{"a": 1}')
    del files["a/b/c.bin"]
    repository.push(files, "main", "Step 4")
    assert held(hub, "main") == {path: file.read_bytes() for path, file in files.items()}
    repository.push({"README.md": files["config.json"]}, "main", "End", keep_others=True)
    assert set(held(hub, "main")) == {*files, "README.md"}


@pytest.mark.parametrize("path", ["branch", "commit"])
def test_an_answer_that_is_lost_makes_nothing_twice(hub, repository, files, path):
    repository.open()
    hub.faults.add(Fault("lost", f"POST .*/{path}/step-2"))
    with pytest.raises(Exception, match="disconnected"):
        repository.push(files, "step-2", "Step 2")
    repository.push(files, "step-2", "Step 2")
    assert titles(hub, "step-2") == ["Step 2 (run 0123abcd)", "initial commit"]


def test_a_branch_that_moves_meanwhile_is_not_written_over(hub, repository, files, monkeypatch):
    repository.push(files, "main", "Step 2")
    files["config.json"].write_bytes(b"[]")
    create = repository.api.create_commit

    def overtaken(*args, **kwargs):
        other = HubRepository(settings())
        other.push({"config.json": files["empty.txt"]}, "main", "Meanwhile", keep_others=True)
        return create(*args, **kwargs)

    monkeypatch.setattr(repository.api, "create_commit", overtaken)
    with pytest.raises(HfHubHTTPError) as caught:
        repository.push(files, "main", "Step 4")
    assert caught.value.response.status_code == 412
    assert titles(hub, "main")[0] == "Meanwhile (run 0123abcd)"


def test_what_another_run_made_is_left_alone(hub, repository, files):
    repository.push(files, "step-2", "Step 2")
    other = HubRepository(settings())
    object.__setattr__(other.settings, "run", "ffffffff")
    files["config.json"].write_bytes(b"[]")
    with pytest.raises(PublishError, match=r"has a revision step-2 that this run did not make \('Step 2 \(run 0123"):
        other.push(files, "step-2", "Step 2")
    repository.push(files, "main", "Step 2")
    other.root = ""
    with pytest.raises(PublishError, match=r"holds something else already \('Step 2 \(run 0123abcd\)'\): choose"):
        other.open()


def test_a_repository_with_a_readme_is_as_good_as_empty_and_private_is_private(hub, files):
    hub.storage.create("models", REPOSITORY, private=False)
    readme = {"key": "file", "value": {"path": "README.md", "content": "aGk="}}
    header = {"key": "header", "value": {"summary": "Create README.md"}}
    hub.storage.commit("models", REPOSITORY, "main", [header, readme])
    HubRepository(settings()).push(files, "main", "Step 2")
    assert set(held(hub, "main")) == set(files)
    assert set(held(hub, "main")) == set(files)
    private = HubRepository(settings(publish_to="lab/hidden", publish_private=True))
    private.open()
    assert hub.storage.find("models", "lab/hidden")["private"]


def test_tags_and_collections_are_made_once(hub, repository, files):
    commit = repository.push(files, "step-2", "Step 2")
    for _ in range(2):
        repository.tag("published-step-2", commit)
        repository.collect("Pico runs")
    assert hub.storage.find("models", REPOSITORY)["tags"] == {"published-step-2": commit}
    (collection,) = hub.storage.collections.values()
    assert [item["id"] for item in collection["items"]] == [REPOSITORY]
    assert not hub.unknown
