"""What the callbacks of learning dynamics share: when they measure, and where it goes."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..trainers.runs.learning_dynamics import DynamicsFile, Row


@dataclass(frozen=True)
class Dynamics:
    """How a run's learning dynamics are measured.

    Attributes:
        file: takes every value.
        every: optimizer steps between two measurements; the untrained model and the last step are measured too.
        tokens: tells how many tokens were seen so far.
        record: takes means per quantity and module into the next log, usually the trainer's `record`.
    """

    file: DynamicsFile
    every: int
    tokens: Callable[[], int]
    record: Callable[[dict[str, Tensor | float]], None]

    def measured(self, step: int, state: TrainerState) -> bool:
        """Whether the model is measured after so many steps."""
        return step % self.every == 0 or step == state.max_steps

    def write(self, rows: list[Row], state: TrainerState) -> None:
        """Append the rows, and record their means over layers and heads; every process must call it."""
        if state.is_world_process_zero:
            self.file.append(state.global_step, self.tokens(), rows)
        if state.global_step > 0:  # the first log is about steps
            self.record(digest(rows))


def digest(rows: list[Row]) -> dict[str, Tensor | float]:
    """Means over layers and heads, named `quantity/objective/module` without what is empty; NaN is left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if isfinite(row.value):
            values["/".join(filter(None, (row.quantity, row.objective, row.module, row.source)))].append(row.value)
    return {name: sum(found) / len(found) for name, found in values.items()}


class DynamicsCallback(TrainerCallback):
    """Measures the model before the first step, at the cadence and after the last step.

    Args:
        dynamics: when and where to.
    """

    def __init__(self, dynamics: Dynamics) -> None:
        self.dynamics = dynamics

    def measure(self, model: PreTrainedModel, state: TrainerState) -> list[Row]:
        """What there is to write after `state.global_step` steps; called on every process."""
        raise NotImplementedError

    def singular_values(self, step: int) -> dict[str, Tensor]:
        """Spectra after `step` steps that a checkpoint keeps; called on every process."""
        return {}

    def reference(self) -> dict[str, Tensor]:
        """What a resumed run needs to go on with the curves; called on every process."""
        return {}

    def load_reference(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `reference` gave."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the untrained model; a resumed run has that already."""
        if state.global_step == 0:
            self.dynamics.write(self.measure(kwargs["model"], state), state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure at the cadence."""
        if self.dynamics.measured(state.global_step, state):
            self.dynamics.write(self.measure(kwargs["model"], state), state)
