"""The record of the run that trained a model: its arguments.json, in the run's folder or on the Hub."""

import re
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ...trainers import InputError
from ...trainers.model_name import ModelName
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import EARLIER
from ...trainers.runs.json_files import read_json
from .corpus import CorpusArguments

# Names of checkpoints, and of folders of checkpoints, whose record lies in the folder above.
CHECKPOINT = re.compile(r"checkpoints?|(checkpoint|step)[-_]?\d+(\.damaged(-\d+)?)?")
# Arguments that only a pretraining run has all of.
OF_PRETRAINING = {"dataset", "eval_fraction", "block_size", "max_steps"}


@dataclass(frozen=True)
class RunRecord:
    """What a run recorded of the text it was trained on."""

    corpus: CorpusArguments
    base: str | None  #: the model it started from

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> "RunRecord":
        """Read the arguments of a run; one that an earlier version did not record has the value it worked by."""
        names = {f.name for f in fields(CorpusArguments)}
        values = {name: value for name, value in (EARLIER | arguments).items() if name in names}
        return cls(CorpusArguments(**values), arguments.get("init_from") or arguments.get("branch_from"))


def find_record(model: str, revision: str | None = None, subfolder: str = "") -> RunRecord | None:
    """The record of the run that trained a model; None if there is none (see `recorded_arguments`)."""
    arguments = recorded_arguments(model, revision, subfolder)
    return RunRecord.from_arguments(arguments) if arguments else None


def recorded_arguments(model: str, revision: str | None = None, subfolder: str = "") -> dict[str, Any] | None:
    """The arguments of the run that trained a model (see `ModelName`); None if they are not recorded beside it.

    A checkpoint-N has the record of the folder above, a training state on the Hub the one in `run/`.
    """
    name = ModelName.parse(model, revision)
    below = subfolder or name.subfolder
    if Path(name.path).exists():
        found = (_read(folder / ARGUMENTS_FILE) for folder in _places(Path(name.path, below).resolve()))
    else:
        found = (_download(name, str(folder / ARGUMENTS_FILE)) for folder in _places(PurePosixPath(below)))
    return next((arguments for arguments in found if arguments), None)


def training_runs(model: str, revision: str | None = None, subfolder: str = "") -> tuple[list[RunRecord], bool]:
    """The records of all runs that trained a model, and True if there is one of each.

    A run with `init_from` or `branch_from` goes on from a model that an earlier run trained.
    """
    runs: list[RunRecord] = []
    seen: set[str] = set()
    record = find_record(model, revision, subfolder)
    while record is not None:
        runs.append(record)
        base = record.base
        if base is None:
            return runs, True
        if base in seen:
            break
        seen.add(base)
        record = find_record(base)
    return runs, False


def _places(folder: Any) -> list[Any]:
    """The folders in which the record of a model may lie, nearest first."""
    places = [folder, folder / "run"]
    while CHECKPOINT.fullmatch(folder.name):
        folder = folder.parent
        places.append(folder)
    return places


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    arguments = read_json(path)
    return arguments if arguments.keys() >= OF_PRETRAINING else None


def _download(name: ModelName, file: str) -> dict[str, Any] | None:
    """Read a file of a model repository; it does not stay in the cache, so that no model seems to be there already."""
    with TemporaryDirectory(prefix="pico-maml-") as folder:
        try:
            path = hf_hub_download(name.path, file, revision=name.revision, cache_dir=folder)
        except LocalEntryNotFoundError:  # without a network
            cached = try_to_load_from_cache(name.path, file, revision=name.revision)
            return _read(Path(cached)) if isinstance(cached, str) else None
        except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
            return None
        except HfHubHTTPError as error:
            raise InputError(
                f"cannot read {file} of {name.path}, the record of its run, try later: {error}"
            ) from error
        return _read(Path(path))
