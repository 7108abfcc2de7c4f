"""Parse the name of a model (a folder or a Hub name), and delete what was downloaded under it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from .errors import InputError


class ModelName(NamedTuple):
    """A folder, or a model on the Hub."""

    path: str  #: folder or user/name
    revision: str | None = None  #: branch, tag or commit on the Hub; None for the default branch
    subfolder: str = ""  #: folder inside `path` that holds the model

    @classmethod
    def parse(cls, text: str, revision: str | None = None) -> "ModelName":
        """Parse FOLDER or USER/NAME[@REVISION][:SUBFOLDER]; a path that exists on this disk is a folder.

        Raises InputError for two revisions, and for nothing before or after an @ or a colon.
        """
        if Path(text).exists():
            return cls(text, revision)
        place, colon, subfolder = text.partition(":")
        path, at, named = place.partition("@")
        if not path or (at and not named) or (colon and not subfolder) or "@" in named:
            raise InputError(f"a model is a folder or user/name[@revision][:subfolder], got {text!r}")
        if named and revision is not None:
            raise InputError(f"{text!r} names the revision {named!r}, and revision {revision!r} another: give one")
        return cls(path, named or revision, subfolder)


@contextmanager
def deleted_afterwards(names: Iterable[str], delete: bool) -> Iterator[None]:
    """Delete, at the end and if `delete`, the revisions of these models that were downloaded inside the block."""
    if not delete:
        yield
        return
    repositories = {ModelName.parse(name).path for name in names}
    before = cached_commits(repositories)
    try:
        yield
    finally:
        if downloaded := cached_commits(repositories) - before:
            scan_cache_dir().delete_revisions(*downloaded).execute()


def cached_commits(repositories: set[str]) -> set[str]:
    """Commits of these model repositories in the cache."""
    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return set()
    models = [repo for repo in cache.repos if repo.repo_type == "model" and repo.repo_id in repositories]
    return {revision.commit_hash for repo in models for revision in repo.revisions}
