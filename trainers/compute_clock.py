"""Compute seconds of a run: CPU seconds of its processes or seconds of its GPUs, of training and of all else."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from .process_group import rank, sums
from .runs.files import COMPUTE_FILE
from .runs.json_files import read_json, write_json

logger = logging.getLogger(__name__)
TRAINING, SAMPLING, COUNTING, OTHER = "training", "sampling", "counting", "other"


def stopwatch(device: torch.device) -> tuple[str, Callable[[], float]]:
    """The unit of compute seconds on a device, cpu or gpu, and the function that reads them."""
    return ("cpu", time.process_time) if device.type == "cpu" else ("gpu", time.perf_counter)


class ComputeClock(TrainerCallback):
    """Counts the compute seconds of training, of drawing episodes and of counting text within it, and of all else.

    A step lasts from fetching its batches to the update of the weights. All else within `Trainer.train` is other:
    evaluations, measurements, logs and saving. Sampling is the part of training that draws episodes. Counting is the
    part that reads the text before the first step, for word classes or for the embedding; without them it is not
    logged. Totals are over all processes and survive a resume.

    On CPUs, compute seconds are the CPU seconds of all threads of the training processes; data workers and uploads are
    processes of their own and are not counted. On GPUs they are seconds by the clock times GPUs, one a process. A
    step's last kernels may then run on into what follows: the clock does not wait for them.
    """

    def __init__(self, device: torch.device) -> None:
        unit, self.now = stopwatch(device)
        self._names = {part: f"{part}_{unit}_seconds" for part in (TRAINING, SAMPLING, COUNTING, OTHER)}
        self._seconds = dict.fromkeys(self._names, 0.0)  # of this process since the start or the resume
        self._before: dict[str, float] | None = dict.fromkeys(self._names.values(), 0.0)  # None: unknown
        self._part: str | None = None
        self._since = 0.0

    def switch(self, part: str | None) -> None:
        """Count for `part` from now on; None stops the clock."""
        now = self.now()
        if self._part is not None:
            self._seconds[self._part] += now - self._since
        self._part, self._since = part, now

    def charge(self, seconds: float) -> None:
        """Add seconds of counting, which come before `Trainer.train` starts the clock."""
        self._seconds[COUNTING] += seconds

    def totals(self) -> dict[str, float]:
        """`training_cpu_seconds`, `sampling_cpu_seconds`, `other_cpu_seconds`, or the same of GPUs; on every process.

        Empty after a resume from a checkpoint that holds none.
        """
        self.switch(self._part)
        if self._before is None:
            return {}
        new = dict(zip(self._names, sums([self._seconds[part] for part in self._names]), strict=True))
        new[TRAINING] += new[SAMPLING] + new[COUNTING]  # which are parts of it
        totals = {name: self._before.get(name, 0.0) + new[part] for part, name in self._names.items()}
        return {name: seconds for name, seconds in totals.items() if seconds > 0 or name != self._names[COUNTING]}

    def save(self, folder: Path) -> None:
        """Write the totals into a checkpoint; called on every process."""
        totals = self.totals()
        if totals and rank() == 0:
            write_json(folder / COMPUTE_FILE, totals)

    def load(self, folder: Path) -> None:
        """Go on from the totals in a checkpoint."""
        saved = read_json(folder / COMPUTE_FILE) if (folder / COMPUTE_FILE).exists() else {}
        self._seconds = dict.fromkeys(self._names, 0.0)
        needed = [name for part, name in self._names.items() if part != COUNTING]
        self._before = saved if saved.keys() >= set(needed) else None
        if self._before is None and rank() == 0:
            logger.warning(f"{folder} does not hold {' and '.join(needed)}: no longer logged")

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Start; what other callbacks do before the first step is other."""
        self.switch(OTHER)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End a training step: what other callbacks, logs, evaluations and saving do is other."""
        self.switch(OTHER)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop."""
        self.switch(None)
