"""Logs as JSON lines, for programs that read what a job prints."""

import json
from math import isfinite
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class JsonConsoleCallback(TrainerCallback):
    """Prints each log as one JSON object a line on stdout, with its `step` and `max_steps`, on the main process.

    A value that is no finite number is null: strict JSON knows no other.
    """

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Print it at once, whoever reads the other end of a pipe."""
        if state.is_world_process_zero:
            logs = {name: value if isfinite(value) else None for name, value in (kwargs.get("logs") or {}).items()}
            print(json.dumps({"step": state.global_step, "max_steps": state.max_steps, **logs}), flush=True)
