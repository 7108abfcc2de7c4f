"""Uploads a run's queue, entry by entry, and retries."""

import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ...trainers.errors import PublishError
from ...trainers.hub import explain
from ...trainers.runs.files import METRICS_FILE
from ...trainers.runs.json_files import JsonLines
from .queue import POLL, Entry, PublishQueue
from .repository import HubRepository
from .revision import revision_folder
from .settings import Settings

LONGEST_PAUSE = 60.0


class Publisher:
    """Uploads the queue of a run; the process that calls it holds the queue's lock."""

    def __init__(self, run: Path, settings: Settings) -> None:
        self.queue, self.settings, self.repository = PublishQueue(run), settings, HubRepository(settings)

    def run(self, training: int | None = None) -> None:
        """Upload until the queue is empty, and while the process `training`, the parent of this one, lives.

        After its end passing failures are retried for `publish_wait` seconds without a success. Raises PublishError if
        an entry cannot be uploaded, or not in that time.
        """
        pause, last_success = self.settings.publish_retry, time.monotonic()
        while True:
            # Asked before the queue is read, which then holds all that a dead training process queued.
            alive = training is not None and os.getppid() == training
            entry = next(iter(self.queue.waiting()), None)
            if entry is None:
                if not alive:
                    return
                time.sleep(POLL)
                last_success = time.monotonic()
                continue
            try:
                record = self.publish(entry)
            except Exception as error:  # any failure must reach the log, and keeps the entry
                failure = explain(error, self.repository.name)
                self.queue.trouble_path.write_text(failure.message)
                log(f"{entry.name} failed: {failure.message}")
                if not failure.passing:
                    if not isinstance(error, PublishError):
                        traceback.print_exc()
                    raise PublishError(failure.message) from error
                if not alive and time.monotonic() - last_success > self.settings.publish_wait:
                    waited = f"given up after {self.settings.publish_wait:.0f} s"
                    raise PublishError(f"{waited}: {failure.message}") from error
                # Jitter: runs that failed at the same moment must not all retry at the same moment.
                time.sleep(max(failure.retry_after, pause * random.uniform(0.75, 1.25)))
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self.queue.trouble_path.write_text("")
            log(f"{entry.name} is on the Hub: {self.repository.name}, commit {record['commit']}")
            # Last, because training ends this process as soon as the queue is empty.
            self.queue.finish(entry, record)
            pause, last_success = self.settings.publish_retry, time.monotonic()

    def publish(self, entry: Entry) -> dict[str, Any]:
        """Upload what the Hub does not have of an entry; returns the record of it."""
        main_records = [record for record in self.queue.published() if "main" in record]
        loss = held_out_loss(entry)
        record: dict[str, Any] = {"eval_next_token_loss": loss}
        if not entry.final:
            folder, title = revision_folder(entry, self.settings), f"Step {entry.step}"
            record["commit"] = self.repository.push(folder, entry.name, title)
            if self.settings.publish_tags:
                self.repository.tag(f"published-{entry.name}", record["commit"])
            if self.settings.publish_state:
                state = f"state-{entry.name}"
                record["state"] = self.repository.push(entry.state, state, f"{title}, training state")
            if self.settings.publish_main == "newest" or is_best(loss, main_records):
                record["main"] = self.repository.push(folder, "main", title)
        elif self.settings.publish_main == "best" and main_records:
            # `main` keeps the weights of the best step, and gets the complete files of the run.
            folder = revision_folder(entry, self.settings, weights_step=main_records[-1]["step"])
            record["commit"] = self.repository.push(folder, "main", "The finished run", delete_others=False)
        else:
            folder, title = revision_folder(entry, self.settings), f"The finished run, step {entry.step}"
            record["commit"] = self.repository.push(folder, "main", title)
        return record


def held_out_loss(entry: Entry) -> float | None:
    """Held-out next-token loss at an entry's step (nats a token), None where none was logged."""
    rows, _ = JsonLines(entry.state / "run" / METRICS_FILE).read()
    losses = [row.get("eval_next_token_loss") for row in rows if row["step"] == entry.step]
    return next((loss for loss in reversed(losses) if loss is not None), None)


def is_best(loss: float | None, main_records: list[dict[str, Any]]) -> bool:
    """True for the first checkpoint, and for one whose held-out loss is below that of every one `main` has held."""
    losses = [record["eval_next_token_loss"] for record in main_records]
    return not losses or (loss is not None and all(other is None or loss < other for other in losses))


def log(message: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}", file=sys.stderr, flush=True)
