"""Hands each checkpoint to whoever publishes it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class PublishCallback(TrainerCallback):
    """Calls `publish(folder, step)` for each checkpoint once it is complete, on the main process.

    A disk that is full, or whatever else the operating system refuses, is said and costs that publication, not the
    training.

    Args:
        publish: must be quick: the next step waits for it.
    """

    def __init__(self, publish: Callable[[Path, int], None]) -> None:
        self.publish = publish

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Hand over checkpoint-N."""
        if not state.is_world_process_zero:
            return
        step = state.global_step
        try:
            self.publish(Path(str(args.output_dir), f"checkpoint-{step}"), step)
        except OSError as error:
            print(f"checkpoint-{step} is not queued for publication: {error}", file=sys.stderr)
