"""Writing a checkpoint under another name, renaming it into place, and deleting old ones."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from safetensors import SafetensorError

from ...errors import InputError
from ..files import COMPLETE, KEPT_FILE, UNFINISHED
from .finding import numbered
from .seal import seal, sync_directory


@contextmanager
def written_beside(run: Path, step: int, is_writer: bool) -> Iterator[Path]:
    """Yield a folder for checkpoint-`step`, then seal and rename it, so that the run has the whole checkpoint or none.

    Every process must enter and leave; an older folder of that name is replaced. `is_writer` is True on the process
    that creates, seals and renames the folder, one on each file system. Raises InputError if the checkpoint cannot be
    written (disk full, no permission); earlier ones are untouched.
    """
    processes = PartialState()
    folder = run / UNFINISHED / f"checkpoint-{step}"
    if is_writer:
        try:
            shutil.rmtree(folder.parent, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(cannot_save(run, step, error)) from error
    processes.wait_for_everyone()
    try:
        yield folder
        processes.wait_for_everyone()
        if is_writer:
            seal(folder, step, processes.num_processes)
            final = run / folder.name
            if final.exists():
                delete(final)
            folder.rename(final)
            sync_directory(run)
            folder.parent.rmdir()
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch.save and safetensors wrap errors of the system; not those of a lost process.
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        if is_writer:
            shutil.rmtree(folder.parent, ignore_errors=True)
        raise InputError(cannot_save(run, step, error)) from error
    processes.wait_for_everyone()


def cannot_save(run: Path, step: int, error: Exception) -> str:
    """The error message for a checkpoint that could not be written."""
    steps = list(numbered(run))
    untouched = f"checkpoint-{steps[-1]} is untouched: " if steps else ""
    disk = next(path for path in (run, *run.absolute().parents) if path.exists())
    free, reason = shutil.disk_usage(disk).free, " ".join(str(error).split())
    remedy = "free disk space or remove the cause, then continue with --resume"
    return f"cannot save checkpoint-{step} in {run} ({free:,} bytes free): {reason}; {untouched}{remedy}"


def rotate(run: Path, limit: int | None, best: str | None) -> None:
    """Delete the oldest checkpoints until `limit` are left (None, 0: keep all), but never the newest or `best`.

    Those that a schedule keeps (see `SaveSchedule`) do not count.
    """
    if not limit:
        return
    sealed = [path for path in numbered(run).values() if (path / COMPLETE).exists() and not is_kept(path)]
    spare = [path for path in sealed[:-1] if best is None or path.resolve() != Path(best).resolve()]
    for path in spare[: max(0, len(sealed) - limit)]:
        delete(path)


def is_kept(checkpoint: Path) -> bool:
    """True if a schedule keeps this checkpoint."""
    return (checkpoint / KEPT_FILE).exists()


def delete(folder: Path) -> None:
    """Delete a checkpoint; it is renamed first, so that no part of it is ever found under its name."""
    gone = folder.parent / UNFINISHED / f"deleted-{folder.name}"
    gone.parent.mkdir(exist_ok=True)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    if not any(gone.parent.iterdir()):
        gone.parent.rmdir()
