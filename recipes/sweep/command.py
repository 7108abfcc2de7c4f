"""Fine-tune many models on many treebanks: every run is one result file, so a sweep resumes and is shared by workers.

python -m pico_maml.recipes.sweep --config uner-sweep --output_dir runs/sweep --dry_run
python -m pico_maml.recipes.sweep --config uner-sweep --output_dir runs/sweep --workers 4

Start it again after a kill, or on another machine with the same folder: finished runs are not repeated.
"""

import multiprocessing
import sys
from pathlib import Path

from ...trainers import InputError
from ...trainers.model_name import deleted_afterwards
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.json_files import write_json
from ...trainers.runs.sweep_folder import SweepFolder, check_same_sweep
from ..arguments.parser import parse
from .arguments import TYPES, SweepArguments, comparable
from .cost import estimate, measure
from .worker import work


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Run the recipe; returns how many runs are finished, failed and left."""
    argv = sys.argv[1:] if argv is None else argv
    sweep, args = parse(TYPES, argv, prog="sweep")
    folder, runs = SweepFolder(Path(args.output_dir)), sweep.runs()
    arguments = comparable(sweep, args)
    check_same_sweep(folder, arguments)
    left = [entry for entry in runs if not folder.finished(entry) and (sweep.retry_failed or not folder.failed(entry))]
    with deleted_afterwards([entry.model.path for entry in runs], sweep.delete_downloads):
        # Opens everything, so that whatever is missing is known before hours are spent, and one process downloads.
        print(estimate(left, measure(sweep, runs, args), folder.results()))
        if not sweep.dry_run:
            write_json(folder.path / ARGUMENTS_FILE, arguments)
            if sweep.retry_failed:
                folder.forget_failures(left)
            launch(sweep, folder, argv)
    counts = folder.counts(runs)
    print(f"{counts['finished']} of {len(runs)} runs finished, {counts['failed']} failed, {counts['left']} left")
    for entry in runs:
        if folder.failed(entry):
            print(f"  failed: {entry.name}: {folder.failure(entry)} ({folder.failure_path(entry)})")
    if counts["failed"]:
        print("  --retry_failed runs these again")
    return counts


def launch(sweep: SweepArguments, folder: SweepFolder, argv: list[str]) -> None:
    """Start the workers; wait for those on this machine."""
    if sweep.launcher != "process":
        submit(sweep, folder, argv)
    elif sweep.workers == 1:
        work(argv)
    else:
        # Not forked: threads of torch and tokenizers do not survive that.
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=work, args=(argv, sweep.workers)) for _ in range(sweep.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def submit(sweep: SweepArguments, folder: SweepFolder, argv: list[str]) -> None:
    """Hand the workers to submitit: as local processes, which are waited for, or as a SLURM job array."""
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"launcher {sweep.launcher} needs submitit: pip install 'pico-maml[slurm]'") from error
    cluster = sweep.launcher.removeprefix("submitit-")
    executor = submitit.AutoExecutor(folder=folder.path / "logs" / "%j", cluster=cluster)
    if isinstance(sweep.slurm, dict):
        executor.update_parameters(**sweep.slurm)
    jobs = executor.map_array(
        work, [argv] * sweep.workers, [sweep.workers if cluster == "local" else 1] * sweep.workers
    )
    print(f"submitted {', '.join(job.job_id for job in jobs)}; their output is in {folder.path / 'logs'}")
    if cluster == "local":
        for job in jobs:
            job.result()
