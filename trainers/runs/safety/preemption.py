"""Signals with which a cluster announces that it will stop the process."""

import signal
import threading
from types import FrameType
from typing import Any

# SIGTERM from torchrun, accelerate, Kubernetes and SLURM; SIGUSR1 from `sbatch --signal=USR1@120`.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# EX_TEMPFAIL of sysexits.h: try again later. Launchers such as torchrun replace it with a code of their own; the file
# PREEMPTED is there in any case.
PREEMPTED_CODE = 75


class Preemption:
    """Inside `with`, a signal sets `asked` instead of ending the process."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Preemption":
        self.asked = False
        # Python lets only the main thread set handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
