"""Compare ways of pretraining: several seeds, equal compute, an answer with an interval.

python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --dry_run
python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --workers 2

Start it again after a kill, or on another machine with the same folder: finished runs are not repeated.
"""

import sys
from dataclasses import asdict, fields
from pathlib import Path

from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free_or_same
from ...trainers.runs.json_files import write_json
from ...trainers.runs.launcher import launch
from ...trainers.runs.work_folder import WorkFolder
from ..arguments.launcher import LauncherArguments
from ..arguments.parser import parse
from .arguments import CompareArguments
from .dry_run import describe
from .page.render import write_page
from .plan import PLAN_FILE, Plan
from .study import Study
from .worker import work

# Arguments that do not change a run's result; seeds may be added.
FREE = {f.name for f in fields(LauncherArguments)} | {"dry_run", "retry_failed", "output_dir", "seeds", "question"}


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Run the command; returns how many runs are finished, failed and left. Exit code 1 if a run failed."""
    argv = sys.argv[1:] if argv is None else argv
    (args,) = parse((CompareArguments,), argv, prog="compare")
    study, folder = Study.of(args), WorkFolder(Path(args.output_dir))
    arguments = asdict(args)
    check_free_or_same(folder.path, arguments, FREE)
    plan = Plan.read(folder.path) if (folder.path / PLAN_FILE).exists() else Plan.make(study, folder.path)
    write_json(folder.path / ARGUMENTS_FILE, arguments)
    print(describe(study, plan), flush=True)
    runs, died = study.runs(), 0
    if not args.dry_run:
        if args.retry_failed:
            folder.forget_failures(runs)
        died = launch(work, (argv,), args.workers, args.launcher, folder.path / "logs", args.slurm)
    counts = folder.counts(runs)
    print(f"\n{counts['finished']} of {len(runs)} runs finished, {counts['failed']} failed, {counts['left']} left")
    if counts["finished"]:
        print(write_page(study, folder, plan))
    if counts["failed"]:
        for run in (run for run in runs if folder.failed(run)):
            print(f"  failed: {run.name}: {folder.failure(run)}")
        print("  --retry_failed runs these again")
    if died and counts["left"]:
        print(f"  {died} workers died, perhaps for lack of memory: the same command does what is left")
    if counts["failed"] or (died and counts["left"]):
        sys.exit(1)
    return counts
