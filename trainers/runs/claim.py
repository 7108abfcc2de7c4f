"""Claims: one file for each piece of work in a folder that several processes or machines share."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

# Wait between taking over a stale claim and checking whether another process took it too.
SETTLE_SECONDS = 0.5


@contextmanager
def _held(path: Path, owner: str, seconds: float) -> Iterator[str]:
    """Touch a claim's file every few seconds, which shows others that its owner lives; delete it at the end."""
    released = threading.Event()

    def touch() -> None:
        while not released.wait(seconds) and read(path) == owner:
            os.utime(path)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield owner
    finally:
        released.set()
        thread.join()
        if read(path) == owner:
            path.unlink(missing_ok=True)


def acquire(path: Path, stale_after: float) -> AbstractContextManager[str] | None:
    """Claim a piece of work until the end of a `with` block; None if a living process holds the claim.

    A claim is stale when its process on this machine is gone, or when one on another machine has not touched it for
    `stale_after` seconds. Two processes that take over the same stale claim at the same moment may both go on;
    results are written atomically, so this costs only time.
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
    return _held(path, owner, stale_after / 10)


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
