"""What a command prints for an error that the user can mend."""

import errno
from collections.abc import Iterator

from datasets.exceptions import DatasetGenerationError
from huggingface_hub.errors import StrictDataclassError
from pyarrow import ArrowInvalid

from ...trainers import InputError
from ...trainers.errors import PublishError

MENDABLE = (InputError, StrictDataclassError, OSError, PublishError, ArrowInvalid, DatasetGenerationError)
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def message_of(error: BaseException) -> str:
    """The error in one line, with what to do; a full disk is named whatever was being read or written."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            place = f" ({cause.filename})" if cause.filename else ""
            return (
                f"no space is left on a disk{place}: free some, or put output_dir, or the caches (HF_HOME, "
                "PICO_MAML_CACHE), on another one"
            )
    message = str(error)
    if isinstance(error, ArrowInvalid | DatasetGenerationError):
        reason = error.__cause__ or error
        message = f"a corpus file cannot be read ({reason}): repair or remove it, or set --skip_bad_files"
    elif isinstance(error, OSError) and error.errno in FORBIDDEN:
        message += ": choose a folder that you may write to (for caches HF_HOME or PICO_MAML_CACHE)"
    return " ".join(message.split())


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and the errors that it was raised from or while handling."""
    seen: list[BaseException] = []  # an error that is raised again may be among its own causes
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    yield from seen
