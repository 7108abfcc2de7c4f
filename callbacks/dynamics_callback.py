"""Base class of the callbacks that measure learning dynamics."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState

from ..trainers.runs.learning_dynamics import DynamicsFile, Row


@dataclass(frozen=True)
class Dynamics:
    """When a run's learning dynamics are measured, and where the values go.

    Attributes:
        file: gets every value.
        every: optimizer steps between two measurements; the untrained model and the last step are measured, too.
        tokens: returns the number of tokens seen so far.
        record: adds means per quantity and module to the next log, usually the trainer's `record`.
    """

    file: DynamicsFile
    every: int
    tokens: Callable[[], int]
    record: Callable[[dict[str, Tensor | float]], None]

    def measured(self, step: int, state: TrainerState) -> bool:
        """True if the model is measured after this step."""
        return step % self.every == 0 or step == state.max_steps

    def append(self, rows: list[Row], state: TrainerState) -> None:
        """Append the rows to the file, on the main process."""
        if state.is_world_process_zero:
            self.file.append(state.global_step, self.tokens(), rows)

    def write(self, rows: list[Row], state: TrainerState) -> None:
        """Append the rows and record their means over layers and heads; every process must call it."""
        self.append(rows, state)
        if state.global_step > 0:  # the first log comes after a step
            self.record(digest(rows))


def digest(rows: list[Row]) -> dict[str, Tensor | float]:
    """Means over layers and heads without NaN, named `quantity/objective/module/source` without empty parts."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if isfinite(row.value):
            values["/".join(filter(None, (row.quantity, row.objective, row.module, row.source)))].append(row.value)
    return {name: sum(numbers) / len(numbers) for name, numbers in values.items()}


class DynamicsCallback(TrainerCallback, ABC):
    """Measures the model before the first step, every `dynamics.every` steps and after the last step."""

    def __init__(self, dynamics: Dynamics) -> None:
        self.dynamics = dynamics

    @abstractmethod
    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """The rows of this step; called on every process."""

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Spectra after `step` steps, for a checkpoint; called on every process."""
        return {}

    def reference(self) -> dict[str, Tensor]:
        """Tensors that a resumed run needs to continue the curves; called on every process."""
        return {}

    def load_reference(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `reference` returned."""

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure the untrained model, unless the run is resumed."""
        if state.global_step == 0:
            self.dynamics.write(self.measure(kwargs["model"], state), state)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure if this step is a measured one."""
        if self.dynamics.measured(state.global_step, state):
            self.dynamics.write(self.measure(kwargs["model"], state), state)
