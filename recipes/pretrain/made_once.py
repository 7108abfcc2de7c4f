"""What the main process makes from the training text for every process, and the compute seconds that it takes."""

from collections.abc import Callable
from typing import TypeVar

from accelerate.utils import broadcast_object_list

from ...trainers import MAMLConfig
from ...trainers.compute_clock import stopwatch
from ...trainers.process_group import sums

T = TypeVar("T")


def made_once(training: MAMLConfig, make: Callable[[], T]) -> tuple[T, float]:
    """Return on every process what `make` returns on the main one, and the compute seconds of all processes."""
    _, now = stopwatch(training.device)
    start = now()
    made = broadcast_object_list([make() if training.process_index == 0 else None])
    return made[0], sums([now() - start])[0]
