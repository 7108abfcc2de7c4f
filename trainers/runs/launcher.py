"""Start workers that share a work load: in this process, in several on this machine, or as SLURM jobs."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .process_end import drop_unwritable_output, ended_by_signals

LAUNCHERS = ("process", "submitit-local", "slurm")


def launch(
    worker: Callable[..., None],
    arguments: tuple[Any, ...],
    workers: int,
    launcher: str,
    logs: Path,
    slurm: dict[str, Any] | None = None,
    wait: bool = False,
) -> int:
    """Call `worker(*arguments)` in several workers; return how many died, when those on this machine have ended.

    The worker is a function of an importable module (not of `__main__`), its arguments can be pickled. `process`
    spawns processes, but one worker runs in the current one; `submitit-local` spawns them through submitit; `slurm`
    submits a job array with the parameters `slurm`, and with `wait` returns when it has ended. `logs` is the folder of
    submitit's output.

    Raises:
        InputError: submitit or SLURM is missing, SLURM does not take the jobs, or a job that was waited for failed.
    """
    sharing = 1 if launcher == "slurm" else workers
    if launcher == "process" and workers == 1:
        worker(*arguments)
    elif launcher == "process":
        # Not forked: threads of torch and tokenizers do not survive that.
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=run_worker, args=(sharing, worker, *arguments)) for _ in range(workers)]
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        finally:  # this process may be interrupted
            for process in processes:
                if process.is_alive():
                    process.terminate()
        return sum(process.exitcode != 0 for process in processes)
    else:
        jobs = _submit(sharing, worker, arguments, workers, launcher, logs, slurm or {})
        if wait:
            _wait_for(jobs)
        elif launcher == "submitit-local":
            return sum(job.exception() is not None for job in jobs)
    return 0


def _submit(
    sharing: int,
    worker: Callable[..., None],
    arguments: tuple[Any, ...],
    workers: int,
    launcher: str,
    logs: Path,
    parameters: dict[str, Any],
) -> list[Any]:
    """Submit jobs of submitit, print their numbers and return them."""
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"launcher {launcher} needs submitit: pip install 'pico-maml[slurm]'") from error
    try:
        executor = submitit.AutoExecutor(folder=logs / "%j", cluster=launcher.removeprefix("submitit-"))
        executor.update_parameters(**parameters)
    except RuntimeError as error:
        raise InputError(f"launcher {launcher}: {error} Start it where srun is, or choose another launcher") from error
    except (NameError, TypeError, ValueError) as error:
        raise InputError(f"slurm: {error}") from error
    try:
        jobs = executor.map_array(run_worker, *([value] * workers for value in (sharing, worker, *arguments)))
    except (submitit.core.utils.FailedJobError, OSError) as error:
        raise InputError(f"SLURM did not take the jobs: {str(error).strip()}") from error
    print(f"submitted {', '.join(job.job_id for job in jobs)}; their output is in {logs}", flush=True)
    return jobs


def _wait_for(jobs: list[Any]) -> None:
    """Return when the jobs have ended; raise InputError with the last line of one that failed."""
    import submitit

    for job in jobs:
        try:
            job.result()
        except submitit.core.utils.UncompletedJobError as error:  # of which a failed one is a kind
            lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
            message = next((line for line in lines if "Error: " in line), lines[-1]).partition("Error: ")[2]
            raise InputError(f"job {job.job_id} failed: {message or lines[-1]}") from error


def run_worker(sharing: int, worker: Callable[..., None], *arguments: Any) -> None:
    """Call `worker(*arguments)`, one of `sharing` workers of a machine, with its share of the threads."""
    if sharing > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // sharing))
    drop_unwritable_output()
    with ended_by_signals():
        worker(*arguments)
