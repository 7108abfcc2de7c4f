"""Trackers (wandb, tensorboard, trackio and others) whose failure does not end a run."""

import logging
from functools import partialmethod
from typing import Any

from transformers import TrainerCallback

logger = logging.getLogger(__name__)


class TolerantTracker(TrainerCallback):
    """Forwards events to a callback of `transformers.integrations` until it raises."""

    def __init__(self, tracker: TrainerCallback) -> None:
        self.tracker = tracker
        self.failed = False

    def _forward(self, event: str, *args: Any, **kwargs: Any) -> None:
        if self.failed:
            return
        try:
            getattr(self.tracker, event)(*args, **kwargs)
        except Exception as error:  # client libraries and networks fail in many ways
            self.failed = True
            name, reason = type(self.tracker).__name__, " ".join(str(error).split())
            logger.warning("%s failed and is disabled for the rest of the run: %s", name, reason)

    on_train_begin = partialmethod(_forward, "on_train_begin")
    on_train_end = partialmethod(_forward, "on_train_end")
    on_step_begin = partialmethod(_forward, "on_step_begin")
    on_step_end = partialmethod(_forward, "on_step_end")
    on_evaluate = partialmethod(_forward, "on_evaluate")
    on_predict = partialmethod(_forward, "on_predict")
    on_save = partialmethod(_forward, "on_save")
    on_log = partialmethod(_forward, "on_log")
