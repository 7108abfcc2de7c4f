"""A hash of what a corpus on disk holds, by which a resumed run knows that it reads the same text."""

import os
import platform
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from ..errors import InputError
from .documents import BUILT_IN
from .files import list_files

# A larger file is hashed by its size and by pieces at even distances, so that a large corpus does not delay a start.
WHOLE_BYTES = 64 << 20
PIECES, PIECE_BYTES = 64, 1 << 20


def content_hash(name: str) -> str | None:
    """A hash of the names below a folder, sizes and bytes of the files of a corpus; None for a Hub data set.

    Times, owners and the place of the corpus do not count. Of a file above 64 MB 64 pieces of 1 MB are read.

    Raises:
        InputError: there is no corpus file at the path.
    """
    if name == BUILT_IN:
        return f"python {platform.python_version()}"  # the prose is part of Python
    path = Path(name)
    if not path.exists():
        return None
    return _digest(
        (file, file.relative_to(path).as_posix() if path.is_dir() else "") for file in list_files(path).files
    )


def files_hash(paths: Iterable[str]) -> str:
    """A hash of the names, sizes and bytes of files, as `content_hash` has it; InputError if one is not there."""
    files = [Path(path) for path in paths]
    for file in files:
        if not file.is_file():
            raise InputError(f"no file {file}: check the path")
    return _digest((file, file.name) for file in files)


def _digest(files: Iterable[tuple[Path, str]]) -> str:
    """Hash files with the name that counts of each."""
    digest = blake2b(digest_size=16)
    for file, below in files:
        size = file.stat().st_size
        digest.update(f"{below}\0{size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            if size <= WHOLE_BYTES:
                digest.update(content.read())
                continue
            for piece in range(PIECES):
                content.seek((size - PIECE_BYTES) * piece // (PIECES - 1), os.SEEK_SET)
                digest.update(content.read(PIECE_BYTES))
    return digest.hexdigest()
