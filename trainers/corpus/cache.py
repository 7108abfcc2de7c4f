"""Errors while `datasets` copies a corpus into its cache."""

from collections.abc import Iterator
from contextlib import contextmanager

from datasets import config
from datasets.exceptions import DatasetGenerationError

from ..errors import InputError


@contextmanager
def copying() -> Iterator[None]:
    """Raise InputErrors of readers as they are, and say of a cache that cannot be written which one it is."""
    try:
        yield
    except InputError:
        raise
    except DatasetGenerationError as error:  # `datasets` wraps what is raised while it reads or writes
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, OSError):
            raise _unwritable(error.__cause__) from error
        raise
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> InputError:
    return InputError(
        f"the cache {config.HF_DATASETS_CACHE} cannot be written ({error.strerror or error}): free space, or set "
        "HF_DATASETS_CACHE to another folder"
    )
