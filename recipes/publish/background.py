"""Publishing beside training: the queue is filled here, and emptied by a process of its own."""

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

LOG = "publish.log"


class BackgroundPublisher:
    """Freezes checkpoints and keeps a process running that uploads them.

    That process has its own network, threads and memory: whatever the Hub does there, the training process neither
    waits for it nor falls with it. Killed together with training it leaves the queue, and when only training is killed
    it empties the queue and ends.

    Args:
        run: the run's folder.
        settings: of its publication, saved there.
    """

    def __init__(self, run: Path, settings: Settings) -> None:
        self.run, self.settings = run, settings
        self.queue = PublishQueue(run)
        self.process: subprocess.Popen[bytes] | None = None
        self.said: str | None = None

    def publish(self, checkpoint: Path, step: int) -> None:
        """Queue a checkpoint; make sure that somebody works on the queue; say what troubles it, once."""
        self.queue.freeze(checkpoint, step)
        if self.process is None or self.process.poll() is not None:
            self._report()
            self._start()

    def finish(self, step: int) -> None:
        """Queue the finished run and wait until everything is on the Hub, for `publish_wait` seconds at most.

        Raises:
            PublishError: something is not; names what, why, and what to do.
        """
        self.queue.freeze(self.run, step, final=True)
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.process is not None
        deadline = time.monotonic() + self.settings.wait
        while not self.queue.empty() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(POLL)
        self.process.terminate()
        if missing := [entry.name for entry in self.queue.waiting()]:
            why = self.queue.trouble or f"not done after {self.settings.wait:.0f} s"
            raise PublishError(
                f"training is done and saved in {self.run}, but not all of it is on the Hub: {', '.join(missing)} "
                f"({why}); send the rest with `python -m pico_maml.recipes.publish {self.run}`"
            )

    def _report(self) -> None:
        trouble = self.queue.trouble
        if trouble is not None and trouble != self.said:
            print(f"publishing: {trouble}; training goes on, everything stays queued", file=sys.stderr)
        self.said = trouble

    def _start(self) -> None:
        environment = {
            **os.environ,
            # Training has the processors and the GPU.
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        command = [sys.executable, "-m", "pico_maml.recipes.publish", str(self.run), f"--training={os.getpid()}"]
        with (self.queue.path / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )


def check_access(settings: Settings, seconds: float = 30.0) -> None:
    """Open the repository before anything is trained, so that a wrong token or name is known at once.

    A Hub that cannot be reached, or does not answer in time, is no reason not to train: it is said, and tried again
    beside training.

    Raises:
        InputError: no token or a wrong one, no rights, or a repository that holds something else.
    """
    raised: list[Exception] = []

    def attempt() -> None:
        try:
            HubRepository(settings).open()
        except Exception as error:
            raised.append(error)

    # A daemon: a Hub that never answers must not keep this process from ending.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        print(f"publishing: no answer from the Hub within {seconds:.0f} s; training begins", file=sys.stderr)
    elif raised:
        failure = explain(raised[0], settings.repository)
        if not failure.passing:
            raise InputError(failure.message) from raised[0]
        print(f"publishing: {failure.message}; training begins, and it is tried again", file=sys.stderr)
