"""The model repository of a run on the Hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from ...trainers.errors import PublishError
from .settings import Settings

# Files that the Hub or its website puts into an otherwise empty repository.
EMPTY_REPOSITORY = {".gitattributes", "README.md", "LICENSE"}


class HubRepository:
    """Creates each revision exactly once, as one commit.

    The client leaves out files that the branch already holds, and the Hub takes the commit only while the branch has
    not moved. So a retry after a lost answer commits nothing, and of two publishers only one succeeds.
    """

    def __init__(self, settings: Settings) -> None:
        self.name, self.private, self.run_id = settings.repository, settings.publish_private, settings.run_id
        self.api = HfApi(library_name="pico-maml")
        self.root = ""  # the repository's first commit, from which branches start empty

    def open(self) -> None:
        """Create the repository; raise PublishError if an existing one is neither empty nor this run's."""
        if self.root:
            return
        try:
            # Not exist_ok, with which the client hides that a token may not write.
            self.api.create_repo(self.name, private=self.private)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
        commits = self.api.list_repo_commits(self.name)
        ours = any(self.run_id in commit.title for commit in commits)
        if not ours and not set(self.api.list_repo_files(self.name)) <= EMPTY_REPOSITORY:
            raise PublishError(
                f"{self.name} already holds something else ({commits[0].title!r}): choose another publish_to"
            )
        self.root = commits[-1].commit_id

    def push(self, folder: Path, revision: str, title: str, delete_others: bool = True) -> str:
        """Commit a folder to a branch, created empty where missing; returns the branch's commit.

        A branch that holds the files already gets no new commit; one that another run made is a PublishError. All
        other files of the branch are deleted if `delete_others`.
        """
        self.open()
        if revision != "main":
            self.api.create_branch(self.name, branch=revision, revision=self.root, exist_ok=True)
        head = str(self.api.model_info(self.name, revision=revision).sha)
        if revision != "main" and head != self.root:
            newest = self.api.list_repo_commits(self.name, revision=head)[0]
            if self.run_id not in newest.title:
                raise PublishError(
                    f"{self.name} has a revision {revision} that this run did not make ({newest.title!r}): rename or "
                    "delete that branch, or choose another publish_to"
                )
        commit = self.api.upload_folder(
            repo_id=self.name,
            folder_path=folder,
            revision=revision,
            parent_commit=head,
            commit_message=f"{title} (run {self.run_id})",
            delete_patterns="*" if delete_others else None,
        )
        return str(commit.oid)

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit."""
        self.api.create_tag(self.name, tag=name, revision=commit, exist_ok=True)
