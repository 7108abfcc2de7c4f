"""Fine-tune many models on many treebanks: every run is one result file, so a sweep resumes and is shared by workers.

python -m pico_maml.recipes.sweep --config uner-sweep --output_dir runs/sweep --dry_run
python -m pico_maml.recipes.sweep --config uner-sweep --output_dir runs/sweep --workers 4

Start it again after a kill, or on another machine with the same folder: finished runs are not repeated.
"""

import sys
from pathlib import Path

from ...modeling_pico import PicoConfig, PicoForTokenClassification
from ...trainers.model_name import deleted_afterwards
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free_or_same
from ...trainers.runs.json_files import write_json
from ...trainers.runs.launcher import launch
from ...trainers.runs.sweep_folder import SweepFolder
from ...trainers.setup_checks import check_setup
from ..arguments.parser import parse
from .arguments import TYPES, decisive
from .cost import estimate, measure
from .worker import work

# Arguments that may differ when a sweep is continued.
MAY_GROW = {"models", "modes", "train_on", "seeds"}


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Run the command; returns how many runs are finished, failed and left. Exit code 1 if a run failed."""
    argv = sys.argv[1:] if argv is None else argv
    sweep, args = parse(TYPES, argv, prog="sweep")
    folder, runs = SweepFolder(Path(args.output_dir)), sweep.runs()
    arguments = decisive(sweep, args)
    check_setup(args, PicoForTokenClassification, PicoConfig())
    check_free_or_same(folder.path, arguments, MAY_GROW)
    for run in filter(folder.finished, runs):
        folder.check_same_model(run)
    left = [run for run in runs if not folder.finished(run) and (sweep.retry_failed or not folder.failed(run))]
    died = 0
    with deleted_afterwards([run.model.path for run in runs], sweep.delete_downloads):
        # Opens every model and treebank: what is missing is an error now, and one process alone downloads.
        print(estimate(left, measure(sweep, runs, args), folder.results()))
        if not sweep.dry_run:
            write_json(folder.path / ARGUMENTS_FILE, arguments)
            if sweep.retry_failed:
                folder.forget_failures(left)
            died = launch(work, (argv,), sweep.workers, sweep.launcher, folder.path / "logs", sweep.slurm)
    counts = folder.counts(runs)
    print(f"{counts['finished']} of {len(runs)} runs finished, {counts['failed']} failed, {counts['left']} left")
    for run in runs:
        if folder.failed(run):
            print(f"  failed: {run.name}: {folder.failure(run)} ({folder.failure_path(run)})")
    if counts["failed"]:
        print("  --retry_failed runs these again")
    if died and counts["left"]:
        print(f"  {died} workers died, perhaps for lack of memory: the same command does what is left")
    if counts["failed"] or (died and counts["left"]):
        sys.exit(1)
    return counts
