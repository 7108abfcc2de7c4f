"""Compare ways of pretraining: several seeds, equal compute, an answer with an interval.

python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --dry_run
python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --workers 2

Start it again after a kill, or on another machine with the same folder: finished runs are not repeated.
"""

import sys
import tempfile
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any

from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free_or_same
from ...trainers.runs.json_files import read_json, write_json
from ...trainers.runs.launcher import launch
from ...trainers.runs.work_folder import WorkFolder
from ..arguments.launcher import LauncherArguments
from ..arguments.parser import parse
from .arguments import MAPPINGS, CompareArguments
from .dry_run import describe
from .page.render import write_page
from .plan import PLAN_FILE, Plan
from .study import Study
from .worker import make_plan, work

# Arguments that do not change a run's result; seeds may be added.
FREE = {f.name for f in fields(LauncherArguments)} | {"dry_run", "retry_failed", "output_dir", "seeds", "question"}


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Run the command; returns how many runs are finished, failed and left. Exit code 1 if a run failed."""
    argv = sys.argv[1:] if argv is None else argv
    (args,) = parse((CompareArguments,), argv, prog="compare", as_text=MAPPINGS)
    study, folder = Study.of(args), WorkFolder(Path(args.output_dir))
    arguments = asdict(args)
    check_free_or_same(folder.path, arguments, FREE)
    plan = plan_of(study, folder.path, argv, args.slurm)
    if folder.results():
        before = read_json(folder.path / ARGUMENTS_FILE)["seeds"]
        plan = plan.with_seeds(args.seeds, before, date.today().isoformat())
    # The plan last: a folder that holds it can be told from one of another study.
    write_json(folder.path / ARGUMENTS_FILE, arguments)
    plan.write(folder.path)
    print(describe(study, plan), flush=True)
    runs, died = study.runs(), 0
    if not args.dry_run:
        if args.retry_failed:
            folder.forget_failures(runs)
        if folder.counts(runs)["left"]:
            died = launch(work, (argv,), args.workers, args.launcher, folder.path / "logs", args.slurm)
    counts = folder.counts(runs)
    print(f"\n{counts['finished']} of {len(runs)} runs finished, {counts['failed']} failed, {counts['left']} left")
    if counts["left"] and args.launcher == "slurm" and not args.dry_run:
        print("  the jobs go on: with --dry_run this command says how far they are and writes the page")
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


def plan_of(study: Study, folder: Path, argv: list[str], slurm: dict[str, Any] | None) -> Plan:
    """The study's plan, measured first if there is none: here, or in a job on the machines that do the runs.

    Raises:
        InputError: an arm cannot be trained or evaluated, or cannot fit its budget.
    """
    if (folder / PLAN_FILE).exists():
        return Plan.read(folder)
    if study.args.launcher != "slurm":
        return Plan.make(study, folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".measure.", dir=folder.parent) as temporary:
        beside = Path(temporary)
        launch(make_plan, (argv, beside), 1, "slurm", beside / "logs", slurm, wait=True)
        return Plan.read(beside)
