"""Compare ways of pretraining: several seeds, equal compute, an answer with an interval.

python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --dry_run
python -m pico_maml.recipes.compare --config studies/demo --output_dir runs/study --workers 2

Start it again after a kill, or on another machine with the same folder: finished runs are not repeated.
"""

import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import check_free_or_same
from ...trainers.runs.json_files import read_json, write_json
from ...trainers.runs.launcher import launch
from ...trainers.runs.work_folder import WorkFolder
from ..arguments.launcher import LauncherArguments
from ..arguments.parser import parse
from .arguments import CompareArguments
from .budget import StepCost, fit, measure
from .dry_run import describe
from .page.render import write_page
from .study import Study
from .worker import PLAN_FILE, work

# Arguments that do not change a run's result; seeds may be added.
FREE = {f.name for f in fields(LauncherArguments)} | {"dry_run", "retry_failed", "output_dir", "seeds", "question"}


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Run the command; returns how many runs are finished, failed and left. Exit code 1 if a run failed."""
    argv = sys.argv[1:] if argv is None else argv
    (args,) = parse((CompareArguments,), argv, prog="compare")
    study, folder = Study.of(args), WorkFolder(Path(args.output_dir))
    arguments = asdict(args)
    check_free_or_same(folder.path, arguments, FREE)
    costs, plan = budget(study, folder.path)
    write_json(folder.path / ARGUMENTS_FILE, arguments)
    print(describe(study, costs, plan), flush=True)
    runs = study.runs()
    if not args.dry_run:
        if args.retry_failed:
            folder.forget_failures(runs)
        launch(work, (argv,), args.workers, args.launcher, folder.path / "logs", args.slurm)
    counts = folder.counts(runs)
    print(f"\n{counts['finished']} of {len(runs)} runs finished, {counts['failed']} failed, {counts['left']} left")
    if counts["finished"]:
        print(write_page(study, folder, costs, plan))
    if counts["failed"]:
        for run in (run for run in runs if folder.failed(run)):
            print(f"  failed: {run.name}: {folder.failure(run)}")
        print("  --retry_failed runs these again")
        sys.exit(1)
    return counts


def budget(study: Study, folder: Path) -> tuple[dict[str, StepCost], dict[str, dict[float, int]]]:
    """Costs and steps of the arms: measured once, then fixed in the study's folder.

    Raises:
        InputError: an arm cannot be trained, or cannot fit its budget.
    """
    if (folder / PLAN_FILE).exists():
        saved: dict[str, Any] = read_json(folder / PLAN_FILE)
        costs = {name: StepCost(**cost) for name, cost in saved["costs"].items()}
        return costs, {
            name: {float(share): count for share, count in steps.items()} for name, steps in saved["steps"].items()
        }
    costs = measure(study, folder.parent)
    plan = fit(study, costs)
    write_json(folder / PLAN_FILE, {"costs": {name: asdict(cost) for name, cost in costs.items()}, "steps": plan})
    return costs, plan
