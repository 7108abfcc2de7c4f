"""The queue of a run's publications: one folder each, whole from the moment it is seen, gone once it is on the Hub."""

import fcntl
import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from ...trainers.runs.files import ARGUMENTS_FILE, RESULTS_FILE
from ...trainers.runs.json_files import write_json
from .settings import FOLDER, load

# Files of the run, as they were at the step; of the .jsonl files the rows up to it.
RUN_FILES = (ARGUMENTS_FILE, RESULTS_FILE, "metrics.jsonl", "learning_dynamics.jsonl")
DONE = ".done"
# Seconds between two looks at the queue.
POLL = 0.2
# A pickle of all arguments, which nothing reads back.
NEVER_PUBLISHED = ("training_args.bin",)


@dataclass(frozen=True)
class Entry:
    """A publication that waits: `checkpoint/` and `run/` in its folder are frozen copies.

    Attributes:
        path: its folder.
        step: of the checkpoint.
        final: the finished run, which is for `main` alone.
    """

    path: Path
    step: int
    final: bool

    @property
    def name(self) -> str:
        """What it is called to people: the revision it becomes."""
        return "main" if self.final else f"step-{self.step}"


class PublishQueue:
    """Publications of a run, first in first out, on disk: `.publish/waiting/` and `.publish/published/` in its folder.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.path = run, run / FOLDER
        self.waiting_path, self.published_path = self.path / "waiting", self.path / "published"

    def freeze(self, checkpoint: Path, step: int, final: bool = False) -> None:
        """Queue a checkpoint as it is now; one whose weights wait or are published already is left out.

        Large files are hard links, which outlive the rotation of checkpoints and cost nothing; where the file system
        has none, copies.
        """
        if not final and self._is_known(checkpoint, step):
            return
        self.waiting_path.mkdir(parents=True, exist_ok=True)
        entry = {"step": step, "final": final}
        name = f"{self._next_number():06d}-{'final' if final else 'step'}-{step}"
        temporary = self.waiting_path / f".{name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        for path in sorted(checkpoint.rglob("*")):
            inside = path.relative_to(checkpoint)
            # A finished run's folder holds its checkpoints, hidden folders and further models, too.
            if path.is_file() and inside.name not in NEVER_PUBLISHED and not (final and len(inside.parts) > 1):
                freeze_file(path, temporary / "checkpoint" / inside)
        for file in RUN_FILES:
            if (self.run / file).exists():
                copy_until(self.run / file, temporary / "run" / file, step)
        # Of the taggers that were fine-tuned from the finished model.
        for path in self.run.glob(f"*/{RESULTS_FILE}") if final else ():
            freeze_file(path, temporary / "run" / path.relative_to(self.run))
        write_json(temporary / "entry.json", entry)
        temporary.rename(self.waiting_path / name)

    def waiting(self) -> list[Entry]:
        """What is not on the Hub yet, in order."""
        entries = []
        for path in sorted(self.waiting_path.glob("[0-9]*")):
            # Another process may finish it between two looks.
            with suppress(FileNotFoundError):
                entries.append(Entry(path, **load(path / "entry.json")))
        return entries

    def empty(self) -> bool:
        """Whether nothing waits, and no files are left of what is on the Hub."""
        return not self.waiting() and not any(self.waiting_path.glob(f".*{DONE}"))

    def published(self) -> list[dict[str, Any]]:
        """Records of what is on the Hub, in order."""
        return [load(path) for path in sorted(self.published_path.glob("*.json"))]

    def finish(self, entry: Entry, record: dict[str, Any]) -> None:
        """Note that an entry is on the Hub, and let go of its files."""
        weights = hashes(entry.path / "checkpoint")
        record = {"step": entry.step, "final": entry.final, "weights": weights, **record}
        write_json(self.published_path / f"{entry.path.name}.json", record)
        # Hidden first: whoever looks in between must not see half of it.
        gone = entry.path.with_name(f".{entry.path.name}{DONE}")
        entry.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @property
    def trouble(self) -> str | None:
        """What the last try failed with, None where it did not."""
        try:
            return str(load(self.path / "trouble.json")["message"])
        except FileNotFoundError:
            return None

    @trouble.setter
    def trouble(self, message: str | None) -> None:
        if message is None:
            (self.path / "trouble.json").unlink(missing_ok=True)
        else:
            write_json(self.path / "trouble.json", {"message": message})

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the right to upload, which one process has at a time and a dead one never; False: another has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            for gone in self.waiting_path.glob(f".*{DONE}"):  # what a killed process had no time to delete
                shutil.rmtree(gone, ignore_errors=True)
            yield True

    def _is_known(self, checkpoint: Path, step: int) -> bool:
        for entry in self.waiting():
            if entry.step == step and not entry.final:
                names = [path.name for path in weight_files(checkpoint)]
                same, _, _ = filecmp.cmpfiles(checkpoint, entry.path / "checkpoint", names, shallow=False)
                if same == names:
                    return True
        steps = [record for record in self.published() if record["step"] == step and not record["final"]]
        return bool(steps) and steps[-1]["weights"] == hashes(checkpoint)

    def _next_number(self) -> int:
        folders = [path for path in (self.waiting_path, self.published_path) if path.exists()]
        numbers = [int(path.name[:6]) for folder in folders for path in folder.glob("[0-9]*")]
        return max(numbers, default=0) + 1


def weight_files(checkpoint: Path) -> list[Path]:
    """The weights of a checkpoint."""
    return sorted(checkpoint.glob("model*.safetensors"))


def hashes(checkpoint: Path) -> dict[str, str]:
    """SHA-256 of each file of weights."""
    found = {}
    for path in weight_files(checkpoint):
        with path.open("rb") as file:
            found[path.name] = file_digest(file, "sha256").hexdigest()
    return found


def freeze_file(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where that cannot be had."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def copy_until(source: Path, target: Path, step: int) -> None:
    """Copy a file that grows; of JSON lines the whole ones up to a step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".jsonl":
        shutil.copyfile(source, target)
        return
    with source.open() as lines, target.open("w") as kept:
        for line in lines:
            try:
                if json.loads(line)["step"] <= step:
                    kept.write(line)
            except json.JSONDecodeError:  # cut off by a crash
                continue
