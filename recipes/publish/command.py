"""Bring a run to the Hub: what its training has not sent yet, or a finished folder with all its checkpoints.

    python -m pico_maml.recipes.publish runs/demo                                # goes on where training stopped
    python -m pico_maml.recipes.publish runs/demo --publish_to user/pico-demo    # a run that was not published so far

Whatever is on the Hub already is left alone, so this can be started again as often as one likes. Exit code 3 says that
something is not there.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import is_offline_mode, set_client_factory

from ...trainers import InputError
from ...trainers.errors import PublishError
from ...trainers.runs.checkpoints.finding import numbered
from ...trainers.runs.files import COMPLETE, RESULTS_FILE
from ..arguments.parser import parse
from .publisher import Publisher
from .queue import POLL, PublishQueue, weight_files
from .repository import HubRepository
from .settings import PublishArguments, Settings, load, load_settings


@dataclass
class PublishedRun:
    """What to publish."""

    run: str = field(
        metadata={"help": "Folder of a run or of a model; may be given without --run, as first argument."}
    )
    training: int | None = field(
        default=None, metadata={"help": "Process id of the training that starts this; its checkpoints are waited for."}
    )


TYPES = (PublishedRun, PublishArguments)


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the recipe; returns the records of what is on the Hub."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-"):
        argv = ["--run", *argv]
    published, args = parse(TYPES, argv, prog="publish")
    limit_waiting()
    folder = Path(published.run)
    queue = PublishQueue(folder)
    if is_offline_mode():
        raise PublishError("HF_HUB_OFFLINE=1 forbids to reach the Hub: unset it to publish")
    if published.training is not None:
        publish_beside(queue, published.training)
        return queue.published()
    settings = settings_for(folder, args)
    with queue.locked() as mine:
        if not mine:
            raise InputError(f"another process publishes {folder}: wait for it, or end it")
        settings.save(folder)
        for checkpoint, step in saved_checkpoints(folder):
            queue.freeze(checkpoint, step)
        if weight_files(folder):
            queue.freeze(folder, last_step(folder), final=True)
        Publisher(queue, settings, HubRepository(settings)).run()
    print(f"all of {folder} is on the Hub: {settings.repository}")
    return queue.published()


def publish_beside(queue: PublishQueue, training: int) -> None:
    """Publish what a training process queues, until it ends."""
    os.nice(10)  # training comes first
    settings = load_settings(queue.run)
    assert settings is not None  # written by the training that starts this
    publisher = Publisher(queue, settings, HubRepository(settings))
    while True:
        with queue.locked() as mine:
            if mine:
                return publisher.run(training)
        # The process of an earlier start of this run, which was killed, finishes what it does.
        time.sleep(POLL)


def settings_for(folder: Path, args: PublishArguments) -> Settings:
    """Settings from the command line, or those the run was published with before.

    Raises:
        InputError: nothing to publish there, or nobody said where to.
    """
    if not (weight_files(folder) or saved_checkpoints(folder) or PublishQueue(folder).waiting()):
        raise InputError(f"{folder} holds no model.safetensors and no checkpoint-N: nothing to publish")
    settings = Settings.of_run(folder, args)
    if settings is None:
        raise InputError(f"{folder} was never published: say with --publish_to user/name where to")
    return settings


def saved_checkpoints(folder: Path) -> list[tuple[Path, int]]:
    """The whole checkpoints of a run with their steps, in order."""
    return [(path, step) for step, path in sorted(numbered(folder).items()) if (path / COMPLETE).exists()]


def last_step(folder: Path) -> int:
    """The step of a finished run, 0 of a model that tells none."""
    results = folder / RESULTS_FILE
    return int(load(results).get("steps", 0)) if results.exists() else 0


def limit_waiting() -> None:
    """Let no request of this process hang for ever, as the client's own do."""
    timeout = httpx2.Timeout(300.0, connect=30.0)
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=timeout))
