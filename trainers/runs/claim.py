"""Claims: one file for each piece of work in a folder that several processes or machines share."""

import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

import psutil

# Wait between taking over a stale claim and checking whether another process took it too.
SETTLE_SECONDS = 0.5


class Claim:
    """A claim this process holds; its file is touched until release, which shows others that the owner lives.

    Args:
        path: the claim's file, which exists.
        owner: the content of the file.
        stale_after: seconds without a touch after which others may take the claim.
    """

    def __init__(self, path: Path, owner: str, stale_after: float) -> None:
        self.path = path
        self.owner = owner
        self.interval = stale_after / 10
        self.released = threading.Event()
        self.thread = threading.Thread(target=self._touch, daemon=True)

    def __enter__(self) -> "Claim":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self.thread.join()
        if read(self.path) == self.owner:
            self.path.unlink(missing_ok=True)

    def _touch(self) -> None:
        while not self.released.wait(self.interval):
            if read(self.path) != self.owner:
                return
            os.utime(self.path)


def acquire(path: Path, stale_after: float) -> Claim | None:
    """Claim a piece of work; None if a living process holds the claim.

    A claim is stale when its process on this machine is gone, or when one on another machine has not touched it for
    `stale_after` seconds.
    Two processes that take over the same stale claim at the very same time may both go on; results are written
    atomically, so that this costs time and does no harm.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
    try:
        with path.open("x") as file:
            file.write(owner)
    except FileExistsError:
        if not is_stale(path, stale_after):
            return None
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        temporary.write_text(owner)
        temporary.replace(path)
        time.sleep(SETTLE_SECONDS)
        if read(path) != owner:
            return None
    return Claim(path, owner, stale_after)


def is_stale(path: Path, stale_after: float) -> bool:
    """True when the owner of a claim is gone."""
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return False
    host, _, rest = (read(path) or "").partition(" ")
    if host == socket.gethostname():
        try:
            process = psutil.Process(int(rest.split()[0]))
            # Killed but not reaped yet, or another process that was given the same number.
            return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > touched
        except psutil.NoSuchProcess:
            return True
    return time.time() - touched > stale_after


def read(path: Path) -> str | None:
    """Content of a claim file; None if it is absent."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
