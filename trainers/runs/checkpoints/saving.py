"""Writing a checkpoint beside, renaming it into place, and deleting old ones."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from safetensors import SafetensorError

from ...errors import InputError
from ..files import COMPLETE, UNFINISHED
from .finding import numbered
from .seal import seal, sync_directory


@contextmanager
def written_beside(run: Path, step: int, is_writer: bool) -> Iterator[Path]:
    """A folder to write checkpoint-`step` in; afterwards it stands whole in the run's folder, or not at all.

    Every process must enter and leave; an older folder of that name is replaced.

    Args:
        run: folder of the run, which all processes share.
        step: optimizer steps done.
        is_writer: whether this process makes, seals and renames the folder; one on each file system does.

    Raises:
        InputError: it could not be written (disk full, no permission); what was saved before is untouched.
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
        # torch.save and safetensors wrap what the system said; other errors, as of a lost process, only met here.
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        if is_writer:
            shutil.rmtree(folder.parent, ignore_errors=True)
        raise InputError(cannot_save(run, step, error)) from error
    processes.wait_for_everyone()


def cannot_save(run: Path, step: int, error: Exception) -> str:
    """What to say when a checkpoint could not be written."""
    steps = sorted(numbered(run))
    kept = f"checkpoint-{steps[-1]} is untouched: " if steps else ""
    disk = next(path for path in (run, *run.absolute().parents) if path.exists())
    free, reason = shutil.disk_usage(disk).free, " ".join(str(error).split())
    remedy = "make room there, or remove the cause, and go on with --resume"
    return f"cannot save checkpoint-{step} in {run} ({free:,} bytes free): {reason}; {kept}{remedy}"


def rotate(run: Path, limit: int | None, best: str | None) -> None:
    """Delete the oldest checkpoints over `limit` (None or 0: none), but never the newest whole one or the best.

    Args:
        run: folder of the run.
        limit: checkpoints to keep.
        best: path of the best one.
    """
    if not limit:
        return
    whole = [path for _, path in sorted(numbered(run).items()) if (path / COMPLETE).exists()]
    kept = {path for path in whole if best is not None and path.resolve() == Path(best).resolve()} | {*whole[-1:]}
    for path in whole:
        if len(whole) <= limit:
            return
        if path not in kept:
            whole = [other for other in whole if other != path]
            delete(path)


def delete(folder: Path) -> None:
    """Delete a checkpoint; at no moment does part of one stand under its name."""
    gone = folder.parent / UNFINISHED / f"deleted-{folder.name}"
    gone.parent.mkdir(exist_ok=True)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    if not any(gone.parent.iterdir()):
        gone.parent.rmdir()
