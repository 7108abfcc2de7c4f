"""Hands each saved checkpoint to a publisher."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class PublishCallback(TrainerCallback):
    """Calls `publish(folder, step)` for each complete checkpoint, on the main process.

    An OSError, such as of a full disk, is printed and skips that checkpoint's publication; training goes on.

    Args:
        publish: must be quick, the next step waits for it.
    """

    def __init__(self, publish: Callable[[Path, int], None]) -> None:
        self.publish = publish

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Publish checkpoint-N."""
        if not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir), f"checkpoint-{state.global_step}")
        try:
            self.publish(folder, state.global_step)
        except OSError as error:
            print(f"{folder.name} is not queued for publication: {error}", file=sys.stderr)
