"""Upload a run to the Hub: what its training left in the queue, or all checkpoints of a finished folder.

    pico-maml publish runs/demo                                # a run that was trained with publish_to
    pico-maml publish runs/demo --publish_to user/pico-demo    # any other run or model

What is on the Hub already is not uploaded again, so the command may be repeated. Exit code 3: something is missing
on the Hub.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import is_offline_mode, set_client_factory
from huggingface_hub.utils._http import default_client_factory
from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.errors import PublishError
from ...trainers.runs.checkpoints import damages, numbered
from ...trainers.runs.files import RESULTS_FILE
from ...trainers.runs.json_files import read_json
from ..arguments.parser import parse
from .publisher import Publisher
from .queue import WEIGHTS, PublishQueue
from .settings import PublishArguments, Settings


@dataclass
class PublishedRun:
    """What to publish."""

    run: str = HfArg(help="Folder of a run or a model; --run may be left out before the first argument.")
    training: int | None = HfArg(default=None, help="Set by pretrain: its process id, to wait for checkpoints.")


TYPES = (PublishedRun, PublishArguments)


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the recipe; returns the records of all that is on the Hub."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-"):
        argv = ["--run", *argv]
    published, args = parse(TYPES, argv, prog="publish")
    if is_offline_mode():
        raise PublishError("HF_HUB_OFFLINE=1 forbids to reach the Hub: unset it to publish")
    set_client_factory(client_with_timeout)
    folder = Path(published.run)
    settings = settings_for(folder, args)
    publisher = Publisher(folder, settings)
    if published.training is not None:
        os.nice(10)  # training comes first
        with publisher.queue.locked(wait=True):  # for the process of an earlier, killed training of this run
            publisher.run(published.training)
        return publisher.queue.published()
    damaged = []
    with publisher.queue.locked():
        settings.save(folder)
        for step, checkpoint in numbered(folder).items():
            if damage := damages(checkpoint, hashes=False):
                damaged.append(f"{checkpoint.name} is damaged ({'; '.join(damage)})")
            else:
                publisher.queue.freeze(checkpoint, step)
        if any(folder.glob(WEIGHTS)):
            results = folder / RESULTS_FILE
            step = int(read_json(results).get("steps", 0)) if results.exists() else 0
            publisher.queue.freeze(folder, step, final=True)
        publisher.run()
    if damaged:
        raise PublishError(
            f"not all of {folder} is on the Hub: {', '.join(damaged)}; restore or delete it and publish again"
        )
    print(f"all of {folder} is on the Hub: {settings.repository}")
    return publisher.queue.published()


def settings_for(folder: Path, args: PublishArguments) -> Settings:
    """Settings from the command line or the run's last; raise InputError without any, or with nothing to publish."""
    if not (any(folder.glob(WEIGHTS)) or numbered(folder) or PublishQueue(folder).waiting()):
        raise InputError(f"{folder} holds no model.safetensors and no checkpoint-N: nothing to publish")
    settings = Settings.of_run(folder, args)
    if settings is None:
        raise InputError(f"{folder} was never published: name a repository with --publish_to user/name")
    return settings


def client_with_timeout() -> httpx2.Client:
    """The Hub's own HTTP client, whose requests would never time out."""
    client = default_client_factory()
    client.timeout = httpx2.Timeout(300.0, connect=30.0)
    return client
