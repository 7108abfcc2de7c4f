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
) -> int:
    """Call `worker(*arguments)` in several workers; return how many died, when those on this machine have ended.

    The worker is a function of an importable module (not of `__main__`), its arguments can be pickled. `process`
    spawns processes, but one worker runs in the current one; `submitit-local` spawns them through submitit; `slurm`
    submits a job array with the parameters `slurm`. `logs` is the folder of submitit's output.
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
        try:
            import submitit
        except ImportError as error:
            raise InputError(f"launcher {launcher} needs submitit: pip install 'pico-maml[slurm]'") from error
        executor = submitit.AutoExecutor(folder=logs / "%j", cluster=launcher.removeprefix("submitit-"))
        executor.update_parameters(**slurm or {})
        jobs = executor.map_array(run_worker, *([value] * workers for value in (sharing, worker, *arguments)))
        print(f"submitted {', '.join(job.job_id for job in jobs)}; their output is in {logs}")
        if launcher == "submitit-local":
            return sum(job.exception() is not None for job in jobs)
    return 0


def run_worker(sharing: int, worker: Callable[..., None], *arguments: Any) -> None:
    """Call `worker(*arguments)`, one of `sharing` workers of a machine, with its share of the threads."""
    if sharing > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // sharing))
    drop_unwritable_output()
    with ended_by_signals():
        worker(*arguments)
