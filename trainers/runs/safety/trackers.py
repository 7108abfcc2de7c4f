"""Trackers (wandb, tensorboard, trackio and others) whose failure does not end a run."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

logger = logging.getLogger(__name__)


class TolerantTracker(TrainerCallback):
    """Forwards events to a tracker until it raises; metrics.jsonl is complete in any case.

    Args:
        tracker: a callback of `transformers.integrations`.
    """

    def __init__(self, tracker: TrainerCallback) -> None:
        self.tracker = tracker
        self.failed = False

    def _forward(self, event: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if self.failed:
            return
        try:
            event(*args, **kwargs)
        except Exception as error:  # client libraries and networks fail in many ways
            self.failed = True
            name, reason = type(self.tracker).__name__, " ".join(str(error).split())
            logger.warning("%s failed and is disabled for the rest of the run: %s", name, reason)

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_train_begin, *args, **kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_train_end, *args, **kwargs)

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_step_begin, *args, **kwargs)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_step_end, *args, **kwargs)

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_evaluate, *args, **kwargs)

    def on_predict(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_predict, *args, **kwargs)

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_save, *args, **kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Forward to the tracker."""
        self._forward(self.tracker.on_log, *args, **kwargs)
