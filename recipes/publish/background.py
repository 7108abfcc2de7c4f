"""Publishing beside training: training fills the queue, a process of its own uploads it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from ...trainers import InputError
from ...trainers.errors import PublishError
from ...trainers.hub import explain
from .queue import POLL, PublishQueue
from .repository import HubRepository
from .settings import Settings

LOG_FILE = "publish.log"


class BackgroundPublisher:
    """Queues checkpoints and keeps a process running that uploads them.

    That process has its own network, threads and memory, so training neither waits for the Hub nor fails with it.
    When only training is killed, the process uploads the rest of the queue and ends.
    """

    def __init__(self, run: Path, settings: Settings) -> None:
        self.run, self.settings, self.queue = run, settings, PublishQueue(run)
        self.process: subprocess.Popen[bytes] | None = None
        self.reported = ""

    def publish(self, checkpoint: Path, step: int) -> None:
        """Queue a checkpoint; where the uploading process has ended, print why, once, and start it again."""
        self.queue.freeze(checkpoint, step)
        if self.process is None or self.process.poll() is not None:
            trouble = self.queue.trouble
            if trouble not in ("", self.reported):
                print(f"publishing: {trouble}; training goes on, everything stays queued", file=sys.stderr)
            self.reported = trouble
            self.process = self._start()

    def finish(self, step: int) -> None:
        """Queue the finished run and wait until all is uploaded; raise PublishError after `publish_wait` seconds."""
        self.queue.freeze(self.run, step, final=True)
        if self.process is None or self.process.poll() is not None:
            self.process = self._start()
        deadline = time.monotonic() + self.settings.publish_wait
        while not self.queue.empty() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(POLL)
        self.process.kill()  # what it does is whole or absent at any moment
        self.process.wait()  # only then is the queue free for another process
        if missing := [entry.name for entry in self.queue.waiting()]:
            reason = self.queue.trouble or f"not done after {self.settings.publish_wait:.0f} s"
            raise PublishError(
                f"training is done and saved in {self.run}, but not all of it is on the Hub: {', '.join(missing)} "
                f"({reason}); send the rest with `python -m pico_maml.recipes.publish {self.run}`"
            )

    def _start(self) -> subprocess.Popen[bytes]:
        # Training has the processors and the GPU.
        limits = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment = os.environ | limits
        command = [sys.executable, "-m", "pico_maml.recipes.publish", str(self.run), f"--training={os.getpid()}"]
        with (self.queue.path / LOG_FILE).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )


def check_access(settings: Settings, seconds: float = 30.0) -> None:
    """Open the repository before training, so that a wrong token or name is an error at once.

    A Hub that is unreachable or slower than `seconds` costs a warning: uploads are retried beside training. All else
    is an InputError.
    """
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            HubRepository(settings).open()
        except Exception as error:
            errors.append(error)

    # A daemon: a Hub that never answers must not keep this process from ending.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        print(f"publishing: no answer from the Hub within {seconds:.0f} s; training begins", file=sys.stderr)
    elif errors:
        failure = explain(errors[0], settings.repository)
        if not failure.passing:
            raise InputError(failure.message) from errors[0]
        print(f"publishing: {failure.message}; training begins, uploads are retried meanwhile", file=sys.stderr)
