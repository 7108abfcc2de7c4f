"""How a process ends: not because nobody reads its output, and not without its `finally` blocks."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

ENDING = (signal.SIGTERM, signal.SIGHUP)


class DroppingFile(FileIO):
    """A file that drops what cannot be written: a closed pipe, a lost terminal, a full disk."""

    def write(self, data: Any) -> int:
        """Write the bytes, or none of them; returns how many are done with."""
        written = None
        with suppress(OSError):
            written = super().write(data)
        return len(data) if written is None else written


def drop_unwritable_output() -> None:
    """Make standard output and error drop what cannot be written, and escape what their encoding lacks."""
    sys.stdout = _dropping(sys.stdout, sys.__stdout__)
    sys.stderr = _dropping(sys.stderr, sys.__stderr__)


def _dropping(stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:  # closed before the start: `command >&-`
        return Path(os.devnull).open("w", encoding="utf-8")
    if stream is not original or not isinstance(stream, TextIOWrapper):  # a notebook's
        return stream
    with suppress(OSError):
        stream.flush()
    file = DroppingFile(stream.fileno(), "w", closefd=False)
    return TextIOWrapper(
        file if stream.write_through else BufferedWriter(file),  # python -u writes at once
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside `with`, SIGTERM and SIGHUP end the process as `sys.exit` does: claims and temporary files are removed.

    Processes that train together still end at once: one that waits for another in a collective cannot act on a signal.
    """
    before = {}
    if threading.current_thread() is threading.main_thread() and "WORLD_SIZE" not in os.environ:
        before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # SIGHUP is ignored under nohup
            signal.signal(number, _exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not end what the first one began
    sys.exit(128 + number)
