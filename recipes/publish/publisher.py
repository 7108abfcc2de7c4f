"""Works through a run's queue until everything in it is on the Hub."""

import os
import random
import sys
import time
import traceback
from typing import Any

from ...trainers.errors import PublishError
from ...trainers.hub import explain
from .card.facts import held_out_loss
from .queue import POLL, Entry, PublishQueue
from .repository import HubRepository
from .revision import described, revision_files, state_files
from .settings import Settings

LONGEST_WAIT = 60.0


class Publisher:
    """Uploads what waits in a queue, one entry after the other, and tries again what fails for a while.

    Args:
        queue: of the run; this process holds its lock.
        settings: where to.
        repository: there.
    """

    def __init__(self, queue: PublishQueue, settings: Settings, repository: HubRepository) -> None:
        self.queue, self.settings, self.repository = queue, settings, repository

    def run(self, training: int | None = None) -> None:
        """Publish until nothing waits.

        Args:
            training: process whose further checkpoints are waited for; while it lives, nothing is given up that time
                may heal, and without it what has failed for `wait` seconds on end.

        Raises:
            PublishError: something cannot be published, or not for now.
        """
        wait, succeeded = self.settings.retry, time.monotonic()
        while True:
            # Asked for first: what a process queued before it ended is then seen.
            alive = training is not None and os.getppid() == training
            waiting = self.queue.waiting()
            if not waiting:
                if not alive:
                    return
                time.sleep(POLL)
                succeeded = time.monotonic()
                continue
            entry = waiting[0]
            try:
                record = self.publish(entry)
            except Exception as error:  # whatever it is, it must be said and nothing queued be lost
                failure = explain(error, self.repository.name)
                self.queue.trouble = failure.message
                say(f"{entry.name} failed: {failure.message}")
                if not failure.passing:
                    if not isinstance(error, PublishError):
                        traceback.print_exc()
                    raise PublishError(failure.message) from error
                if not alive and time.monotonic() - succeeded > self.settings.wait:
                    raise PublishError(f"given up after {self.settings.wait:.0f} s: {failure.message}") from error
                # Not on the second: runs that a dead Hub held up together must not all come back together.
                time.sleep(max(failure.retry_after, wait * random.uniform(0.75, 1.25)))
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            self.queue.trouble = None
            say(f"{entry.name} is on the Hub: {self.repository.name}, commit {record['commit']}")
            # Last: training ends this process as soon as nothing is left of the queue.
            self.queue.finish(entry, record)
            wait, succeeded = self.settings.retry, time.monotonic()

    def publish(self, entry: Entry) -> dict[str, Any]:
        """Bring one entry to the Hub, whatever of it is there already; returns what to note of it."""
        loss = held_out_loss(entry)
        record: dict[str, Any] = {"eval_next_token_loss": loss}
        on_main = [row for row in self.queue.published() if "main" in row]
        if not entry.final:
            files = revision_files(entry, self.settings)
            title = f"Step {entry.step}"
            record["commit"] = self.repository.push(files, f"step-{entry.step}", title)
            if self.settings.tags:
                self.repository.tag(f"published-step-{entry.step}", record["commit"])
            if self.settings.state:
                state = state_files(entry)
                record["state"] = self.repository.push(state, f"state-step-{entry.step}", f"{title}, training state")
            if self.settings.main == "newest" or is_best(loss, on_main):
                record["main"] = self.repository.push(files, "main", title)
        elif self.settings.main == "best" and on_main:
            # The weights of the best step stay; what is said of the run is now complete.
            files = described(entry, self.settings, weights_step=on_main[-1]["step"])
            record["commit"] = self.repository.push(files, "main", "The finished run", keep_others=True)
        else:
            files = revision_files(entry, self.settings)
            record["commit"] = self.repository.push(files, "main", f"The finished run, step {entry.step}")
        if self.settings.collection is not None:
            self.repository.collect(self.settings.collection)
        return record


def is_best(loss: float | None, before: list[dict[str, Any]]) -> bool:
    """Whether a held-out loss is lower than those of what `main` has held; without any measured, the first stays."""
    losses = [row["eval_next_token_loss"] for row in before if row["eval_next_token_loss"] is not None]
    return not before or (loss is not None and all(loss < other for other in losses))


def say(message: str) -> None:
    """One line, at once."""
    print(time.strftime("%Y-%m-%d %H:%M:%S"), message, flush=True, file=sys.stderr)
