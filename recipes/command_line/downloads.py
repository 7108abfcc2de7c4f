"""What models from the Hub leave in the cache, which a series of checkpoints would fill the disk with."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from ...trainers.model_name import ModelName


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
