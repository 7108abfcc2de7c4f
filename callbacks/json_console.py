"""Print logs as JSON lines, for programs that read a job's output."""

import json
from math import isfinite
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState


class JsonConsoleCallback(TrainerCallback):
    """Prints each log as one JSON object a line, with its `step` and `max_steps`; not-finite values become null."""

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Print and flush the log on the main process."""
        if state.is_world_process_zero:
            logs = {name: value if isfinite(value) else None for name, value in (kwargs.get("logs") or {}).items()}
            print(json.dumps({"step": state.global_step, "max_steps": state.max_steps, **logs}), flush=True)
