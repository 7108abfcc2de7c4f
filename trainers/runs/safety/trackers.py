"""Trackers (wandb, tensorboard, trackio and others) that fail must not end a run."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

logger = logging.getLogger(__name__)


class TolerantTracker(TrainerCallback):
    """Passes events on to a tracker until it raises; from then on the run goes on without it, in metrics.jsonl alone.

    Args:
        tracker: a callback of `transformers.integrations`.
    """

    def __init__(self, tracker: TrainerCallback) -> None:
        self.tracker = tracker
        self.failed = False

    def _pass_on(self, event: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if self.failed:
            return
        try:
            event(*args, **kwargs)
        except Exception as error:  # whatever a service, its network or its client library comes up with
            self.failed = True
            reason = " ".join(str(error).split())
            logger.warning("%s failed and is left out from here on: %s", type(self.tracker).__name__, reason)

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_train_begin, *args, **kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_train_end, *args, **kwargs)

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_step_begin, *args, **kwargs)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_step_end, *args, **kwargs)

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_evaluate, *args, **kwargs)

    def on_predict(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_predict, *args, **kwargs)

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_save, *args, **kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Passed on."""
        self._pass_on(self.tracker.on_log, *args, **kwargs)
