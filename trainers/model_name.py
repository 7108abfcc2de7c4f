"""How a model is named (a folder or a place on the Hub), and deleting what was downloaded under that name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from .errors import InputError


class ModelName(NamedTuple):
    """A folder, or a model on the Hub.

    Attributes:
        path: folder, or user/name.
        revision: branch, tag or commit on the Hub; None for its default.
        subfolder: the folder inside that holds the model, "" for the top.
    """

    path: str
    revision: str | None = None
    subfolder: str = ""

    @classmethod
    def parse(cls, text: str, revision: str | None = None) -> "ModelName":
        """From FOLDER or USER/NAME[@REVISION][:SUBFOLDER]; what exists on this disk is a folder.

        Args:
            text: what was given, such as `pico-lm/pico-decoder-tiny@step-1000` or
                `davidafrica/pico-maml-decoder-tiny:checkpoints/step_100`.
            revision: a revision that was given apart from it.

        Raises:
            InputError: two revisions, or nothing before or behind an @ or a colon.
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
    """Delete at the end which revisions of these models were downloaded in between; what was there before stays.

    Args:
        names: models as recipes take them; of folders nothing is deleted.
        delete: whether to do anything at all.
    """
    if not delete:
        yield
        return
    repositories = {ModelName.parse(name).path for name in names}
    before = cached_commits(repositories)
    try:
        yield
    finally:
        downloaded = cached_commits(repositories) - before
        if downloaded:
            scan_cache_dir().delete_revisions(*downloaded).execute()


def cached_commits(repositories: set[str]) -> set[str]:
    """The commits of model repositories that are in the cache."""
    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return set()
    models = [repo for repo in cache.repos if repo.repo_type == "model" and repo.repo_id in repositories]
    return {revision.commit_hash for repo in models for revision in repo.revisions}
