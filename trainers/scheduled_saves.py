"""Saves the checkpoints of a `SaveSchedule`, and marks them to be kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from .process_group import rank
from .runs.checkpoints.schedule import SaveSchedule, TextRead
from .runs.files import KEPT_FILE


class ScheduledSaves(TrainerCallback):
    """Asks for a checkpoint after each step of the schedule.

    Args:
        schedule: when.
        text_read: what was read so far, the same on every process.
        save: saves a checkpoint now, for the untrained model; every process calls it.
    """

    def __init__(self, schedule: SaveSchedule, text_read: Callable[[], TextRead], save: Callable[[], None]) -> None:
        self.schedule = schedule
        self.text_read = text_read
        self.save = save
        self._before = TextRead(0, 0)
        self._reasons: list[str] = []

    def mark(self, checkpoint: Path) -> None:
        """Write why a checkpoint is kept into its folder, if it is; the oldest ones are deleted but for these."""
        if self._reasons and rank() == 0:
            (checkpoint / KEPT_FILE).write_text(json.dumps({"reasons": self._reasons}))

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save the untrained model, after everything that is measured of it."""
        self._before = self.text_read()
        if state.global_step == 0 and 0 in self.schedule.steps:
            self._reasons = self.schedule.reasons(0, self._before, self._before)
            self.save()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint if this step is to be kept."""
        now = self.text_read()
        self._reasons = self.schedule.reasons(state.global_step, self._before, now)
        self._before = now
        if self._reasons:
            control.should_save = True
