"""A machine that is about to be taken away says so with a signal."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# SIGTERM: torchrun, accelerate, Kubernetes, SLURM; SIGUSR1: `sbatch --signal=USR1@120`.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# EX_TEMPFAIL of sysexits.h: not done, try again. A launcher such as torchrun has a code of its own, so that a file in
# the run's folder says the same.
PREEMPTED_CODE = 75


class Preemption:
    """Within `with`, a signal is no longer the end of the process but noted in `asked`."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Preemption":
        self.asked = False
        # Only the main thread may set handlers; in another one (a notebook's, a server's) signals are not ours.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
