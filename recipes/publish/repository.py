"""A model repository on the Hub whose revisions are made exactly once."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from ...trainers.errors import PublishError
from .settings import Settings

# What the Hub, or a hand on its website, puts into a repository that is otherwise empty.
UNCLAIMED = {".gitattributes", "README.md", "LICENSE"}


class HubRepository:
    """The repository that a run is published to.

    A revision is one commit with all its files. Before one is made, the branch's files are compared with the local
    ones; it is made on the condition that the branch has not moved since. So a try whose answer was lost is found
    done by the next, and two publishers cannot both do it.

    Args:
        settings: of the run.
        kind: model or dataset.
    """

    def __init__(self, settings: Settings, kind: str = "model") -> None:
        self.settings, self.kind = settings, kind
        self.name = settings.repository
        self.api = HfApi(library_name="pico-maml")
        self.root = ""

    def open(self) -> None:
        """Create the repository, or make sure that what is there is this run's.

        Raises:
            PublishError: it holds something else.
        """
        if self.root:
            return
        try:
            self.api.create_repo(self.name, repo_type=self.kind, private=self.settings.private)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
        commits = self.api.list_repo_commits(self.name, repo_type=self.kind)
        ours = any(self.settings.run in commit.title for commit in commits)
        if not ours and not set(self.api.list_repo_files(self.name, repo_type=self.kind)) <= UNCLAIMED:
            raise PublishError(
                f"{self.name} holds something else already ({commits[0].title!r}): choose another publish_to"
            )
        self.root = commits[-1].commit_id

    def push(self, files: dict[str, Path], revision: str, title: str, keep_others: bool = False) -> str:
        """Make a revision hold exactly these files, unless it does already.

        Args:
            files: by path in the repository.
            revision: branch, made when missing.
            title: of the commit.
            keep_others: leave further files of the revision as they are, instead of deleting them.

        Returns:
            The commit.

        Raises:
            PublishError: the branch is not of this run.
        """
        self.open()
        head = self._head(revision)
        tree = self.api.list_repo_tree(self.name, recursive=True, revision=head, repo_type=self.kind)
        remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        changed = [path for path, local in files.items() if path not in remote or not is_same(local, remote[path])]
        gone = [] if keep_others else sorted(set(remote) - set(files) - {".gitattributes"})
        if not changed and not gone:
            return head
        if revision != "main" and head != self.root:
            newest = self.api.list_repo_commits(self.name, revision=head, repo_type=self.kind)[0]
            if self.settings.run not in newest.title:
                raise PublishError(
                    f"{self.name} has a revision {revision} that this run did not make ({newest.title!r}): rename or "
                    "delete that branch, or choose another publish_to"
                )
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationDelete(path, is_folder=False) for path in gone),
            *(CommitOperationAdd(path, files[path]) for path in changed),
        ]
        commit = self.api.create_commit(
            self.name,
            operations,
            commit_message=f"{title} (run {self.settings.run})",
            revision=revision,
            repo_type=self.kind,
            parent_commit=head,
        )
        assert commit.oid is not None
        return commit.oid

    def tag(self, name: str, commit: str) -> None:
        """Name a commit for good."""
        self.api.create_tag(self.name, tag=name, revision=commit, repo_type=self.kind, exist_ok=True)

    def collect(self, title: str) -> None:
        """Put the repository into a collection of its owner, made when missing."""
        owner = self.name.split("/")[0]
        collection = self.api.create_collection(title, namespace=owner, private=self.settings.private, exists_ok=True)
        self.api.add_collection_item(collection.slug, self.name, item_type="model", exists_ok=True)

    def _head(self, branch: str) -> str:
        """The newest commit of a branch, which begins empty, at the repository's first commit."""
        refs = self.api.list_repo_refs(self.name, repo_type=self.kind)
        heads = {ref.name: ref.target_commit for ref in refs.branches}
        if branch not in heads:
            self.api.create_branch(self.name, branch=branch, revision=self.root, repo_type=self.kind, exist_ok=True)
            return self.root
        return heads[branch]


def is_same(local: Path, remote: RepoFile) -> bool:
    """Whether a file has the bytes of one on the Hub, which are told by size and hash."""
    if local.stat().st_size != remote.size:
        return False
    if remote.lfs is None:
        return git_hash(local.read_bytes()) == remote.blob_id
    with local.open("rb") as file:
        return sha_fileobj(file).hex() == remote.lfs.sha256
