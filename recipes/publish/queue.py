"""The queue of a run's revisions on disk: frozen checkpoints that wait for the Hub, and records of uploaded ones."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...trainers import InputError
from ...trainers.runs.checkpoints import read_seal
from ...trainers.runs.claim import acquire
from ...trainers.runs.files import (
    ARGUMENTS_FILE,
    CLASSES_FILE,
    CLASSES_RECORD_FILE,
    DYNAMICS_FILE,
    METRICS_FILE,
    PUBLISH_FOLDER,
    RESULTS_FILE,
)
from ...trainers.runs.json_files import JsonLines, read_json, write_json

# Copied when a checkpoint is frozen, because most of them change.
RUN_FILES = (ARGUMENTS_FILE, RESULTS_FILE, METRICS_FILE, DYNAMICS_FILE, CLASSES_FILE, CLASSES_RECORD_FILE)
WEIGHTS = "model*.safetensors"
# Seconds between two looks at the queue.
POLL = 0.2
# Seconds without a sign of life after which the publisher of another machine has died.
STALE_AFTER = 60


@dataclass(frozen=True)
class Entry:
    """A checkpoint that waits for its upload, in a folder NUMBER-step-N-WEIGHTS, or NUMBER-final-N for the run's end.

    The folder holds `state/`, the files of the checkpoint with those of its run in `state/run/`; the publisher adds
    `revision/`.
    """

    path: Path

    @property
    def final(self) -> bool:
        """True for the finished run, which goes to `main` alone."""
        return self.path.name.split("-")[1] == "final"

    @property
    def step(self) -> int:
        """Optimizer steps of the checkpoint."""
        return int(self.path.name.split("-")[2])

    @property
    def name(self) -> str:
        """Name of the Hub revision this entry becomes."""
        return "main" if self.final else f"step-{self.step}"

    @property
    def state(self) -> Path:
        """Folder with the files of the checkpoint, and those of the run in `run/`."""
        return self.path / "state"


class PublishQueue:
    """First-in first-out queue in `.publish/` of a run's folder.

    An entry waits from the rename of its folder into `waiting/` until its record is in `published/`, after which the
    folder is deleted. So it is never seen half written or half deleted.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.path = run, run / PUBLISH_FOLDER
        self.waiting_path, self.published_path = self.path / "waiting", self.path / "published"
        self.trouble_path = self.path / "trouble.txt"

    def freeze(self, checkpoint: Path, step: int, final: bool = False) -> None:
        """Queue a checkpoint unless it is queued or uploaded already, or with `final` the finished run."""
        # In this order, so that an entry that is recorded meanwhile is not missed.
        entries = [*self.waiting_path.glob("[0-9]*"), *self.published_path.glob("[0-9]*")]
        kind = f"final-{step}" if final else f"step-{step}-{weights_hash(checkpoint)}"
        same_step = sorted(path.name for path in entries if f"-step-{step}-" in path.name)
        if same_step and kind in same_step[-1]:
            return
        number = max((int(path.name[:6]) for path in entries), default=0) + 1
        frozen = Entry(self.path / "freezing" / f"{number:06d}-{kind}.{os.getpid()}")
        shutil.rmtree(frozen.path, ignore_errors=True)
        # Beside its files, a finished run's folder holds checkpoints and further models.
        link_files(checkpoint, frozen.state, "*" if final else "**/*")
        (frozen.state / "run").mkdir(parents=True)
        for name in RUN_FILES:
            if (self.run / name).exists():
                shutil.copyfile(self.run / name, frozen.state / "run" / name)
        for name in (METRICS_FILE, DYNAMICS_FILE):
            JsonLines(frozen.state / "run" / name).cut_back_to(step)
        if final:  # with the results of taggers that were fine-tuned from the finished model
            link_files(self.run, frozen.state / "run", f"*/{RESULTS_FILE}")
        self.waiting_path.mkdir(exist_ok=True)
        frozen.path.rename(self.waiting_path / f"{number:06d}-{kind}")

    def waiting(self) -> list[Entry]:
        """Entries that are not uploaded yet, oldest first."""
        return [Entry(path) for path in sorted(self.waiting_path.glob("[0-9]*")) if not self._record(path).exists()]

    def empty(self) -> bool:
        """True when no entry is waiting and the files of every uploaded entry are deleted."""
        return not any(self.waiting_path.glob("[0-9]*"))

    def published(self) -> list[dict[str, Any]]:
        """Records of the uploaded entries, oldest first."""
        return [read_json(path) for path in sorted(self.published_path.glob("[0-9]*.json"))]

    def finish(self, entry: Entry, record: dict[str, Any]) -> None:
        """Record that an entry is uploaded, and delete its files."""
        write_json(self._record(entry.path), {"step": entry.step, "final": entry.final, **record})
        shutil.rmtree(entry.path, ignore_errors=True)

    @property
    def trouble(self) -> str:
        """Why the last upload failed, "" after one that did not."""
        return self.trouble_path.read_text() if self.trouble_path.exists() else ""

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Hold the right to upload; if another process has it, `wait` for that or raise InputError."""
        while (claim := acquire(self.path / "lock", STALE_AFTER)) is None:
            if not wait:
                raise InputError(f"another process publishes {self.run}: wait until it ends, or stop it")
            time.sleep(POLL)
        with claim:
            for path in self.waiting_path.glob("[0-9]*"):
                if self._record(path).exists():  # a killed process did not delete it
                    shutil.rmtree(path, ignore_errors=True)
            yield

    def _record(self, entry: Path) -> Path:
        return self.published_path / f"{entry.name}.json"


def weights_hash(checkpoint: Path) -> str:
    """16 hexadecimal digits that tell the weights of a sealed checkpoint from others."""
    files = read_seal(checkpoint)["files"]
    hashes = [files[name]["sha256"] for name in sorted(files) if fnmatch(name, WEIGHTS)]
    return sha256("".join(hashes).encode()).hexdigest()[:16]


def link_files(source: Path, target: Path, pattern: str) -> None:
    """Hard-link the matching files of a folder into another, or copy them where the file system has no links."""
    for path in source.glob(pattern):
        if path.is_file():
            inside = target / path.relative_to(source)
            inside.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, inside)
            except OSError:
                shutil.copyfile(path, inside)
