"""Claims: one file for each piece of work in a folder that several processes or machines share.

The owner of a claim holds the kernel's lock on its file. The lock ends with the process, however that ends, and
processes in other containers of the machine see it too. Other machines may not see it, and some file systems have no
locks: there a claim lives as long as its owner touches the file.
"""

import fcntl
import logging
import os
import socket
import threading
import time
import uuid
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

logger = logging.getLogger(__name__)

# Between two touches; a tenth of `stale_after` where that is less.
BEAT_SECONDS = 5.0
# Wait between taking over a claim that another machine may take over too and checking who came last.
SETTLE_SECONDS = 0.5
# A claim's file is opened again if its owner deletes it in that moment.
ATTEMPTS = 20
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Forked data workers must not keep the locks of a killed process.
_files: weakref.WeakSet[FileIO] = weakref.WeakSet()


def _close_files() -> None:
    for file in _files:
        file.close()


os.register_at_fork(after_in_child=_close_files)


class Claim:
    """A piece of work that belongs to this process until the end of a `with` block."""

    def __init__(self, path: Path, file: FileIO, record: str, beat: float) -> None:
        self.path, self.record = path, record
        self.lost = False  #: this process slept for so long that another one took the claim over
        self._file, self._beat = file, beat
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Claim":
        self._thread = threading.Thread(target=self._touch_until_released, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._released.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):  # a file system that is away must not hide how the work ended
            if read(self.path) == self.record:
                self.path.unlink()
        self._file.close()

    def _touch_until_released(self) -> None:
        while not self.lost and not self._released.wait(self._beat):
            with suppress(OSError):  # try again at the next beat
                self._touch()

    def _touch(self) -> None:
        record = read(self.path)
        if record == self.record:
            os.utime(self.path)
        elif record is None:  # deleted by hand, or by a cleaner of old files
            file = _open(self.path, "xb")
            if _lock(file) is not False:
                _write(file, self.record)
                self._file.close()
                self._file = file
        elif record:
            self.lost = True


def acquire(path: Path, stale_after: float, wait: bool = False) -> Claim | None:
    """Claim a piece of work; None if a living process holds the claim.

    Where the lock of its owner is seen, a claim is free when the lock is. Elsewhere it is free when its last touch is
    more than `stale_after` seconds ago (or ahead, after a clock jumped) and it is not touched while this process
    watches. With `wait` a claim of another machine is watched until it is touched or free.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):  # its owner has just deleted it
            return _acquire(path, stale_after, wait)
    return None


def read(path: Path) -> str | None:
    """Content of a claim file; None if it is absent."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _acquire(path: Path, stale_after: float, wait: bool) -> Claim | None:
    beat = min(BEAT_SECONDS, stale_after / 10)
    try:
        file, new = _open(path, "xb"), True
    except FileExistsError:
        file, new = _open_existing(path), False
    record = None
    try:
        if _is_free(path, file, new, stale_after, beat, wait):
            record = _take(path, file, new)
    finally:
        if record is None:
            file.close()
    return Claim(path, file, record, beat) if record else None


def _is_free(path: Path, file: FileIO, new: bool, stale_after: float, beat: float, wait: bool) -> bool:
    """Lock a claim's file; True if no living process holds the claim. Raise FileNotFoundError if it is deleted."""
    lock = _lock(file)
    if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        raise FileNotFoundError(path)
    if new:
        return lock is not False
    place = (read(path) or "").split()[2:3]
    if lock is not None and place in ([], [_place(file)]):
        return lock
    return _is_abandoned(path, stale_after, beat, wait)


def _is_abandoned(path: Path, stale_after: float, beat: float, wait: bool) -> bool:
    """Watch a claim whose lock is not seen here: True if its last touch is old and no other follows."""
    first, watched = _last_touch(path), time.monotonic() + 2 * beat
    if wait:
        logger.warning("%s was claimed elsewhere: waiting up to %.0f s for a sign of life", path, stale_after)
    while True:
        old = abs(time.time() - first[1] / 1e9) > stale_after
        if old and time.monotonic() >= watched:
            return True
        if not old and not wait:
            return False
        time.sleep(beat / 5)
        if _last_touch(path) != first:
            return False


def _last_touch(path: Path) -> tuple[bytes, int]:
    """Content and time of modification (ns); a network file system asks its server only when a file is opened."""
    with path.open("rb") as file:
        return file.read(), os.fstat(file.fileno()).st_mtime_ns


def _take(path: Path, file: FileIO, new: bool) -> str | None:
    """Write this process into a claim; None if another process does so at the same time and comes last."""
    if not file.writable():
        path.unlink()
        raise FileNotFoundError(path)
    locked, place = _lock(file), _place(file)
    record = f"{socket.gethostname()} {os.getpid()} {place if locked else 'unlocked'} {uuid.uuid4().hex}"
    seen = new or (locked and (read(path) or "").split()[2:3] == [place])
    try:
        _write(file, record)
    except OSError:
        path.unlink(missing_ok=True)  # the disk is full
        raise
    if not seen:
        time.sleep(SETTLE_SECONDS)
        if read(path) != record:
            return None
    return record


def _open(path: Path, mode: str) -> FileIO:
    file = FileIO(path, mode)
    _files.add(file)
    return file


def _open_existing(path: Path) -> FileIO:
    try:
        return _open(path, "rb+")
    except PermissionError:  # of another user
        return _open(path, "rb")


def _lock(file: FileIO) -> bool | None:
    """Try to lock a file: True if this process has the lock, False if another one has, None without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # ENOLCK, ENOTSUP, EIO, ...
        return None
    return True


def _place(file: FileIO) -> str:
    """Names the machine and the mount that a lock on this file is seen in."""
    try:
        machine = BOOT_ID.read_text().strip()
    except OSError:
        machine = socket.gethostname()
    return f"{machine}:{os.fstat(file.fileno()).st_dev}"


def _write(file: FileIO, record: str) -> None:
    """Replace the content of a claim's file; synced, for other machines see only what the server has."""
    file.seek(0)
    file.write(record.encode())
    file.truncate()
    os.fsync(file.fileno())
