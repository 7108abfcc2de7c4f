"""A worker of a study: claims a free run, pretrains it, measures the model, writes the result, and goes on."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...trainers.runs.files import RESULTS_FILE
from ...trainers.runs.sweep_folder import SweepFolder
from ...trainers.runs.work_folder import WorkFolder
from ..arguments.parser import parse
from .arguments import MAPPINGS, CompareArguments
from .budget import run_arguments, steps_of_run
from .measures import NER_FOLDER, few_shot_folder
from .plan import Plan
from .process import end_orphan, run_command
from .results.run_result import EVALUATION_FILE, read_result
from .study import Run, Study


def make_plan(argv: list[str], folder: Path) -> None:
    """Measure the plan of the study with this command line, and write it to a folder."""
    (args,) = parse((CompareArguments,), argv, prog="compare", as_text=MAPPINGS)
    Plan.make(Study.of(args), folder).write(folder)


def work(argv: list[str]) -> None:
    """Do the runs of the study with this command line that no other worker does, until none is left."""
    (args,) = parse((CompareArguments,), argv, prog="compare", as_text=MAPPINGS)
    study, folder = Study.of(args), WorkFolder(Path(args.output_dir))
    plan = Plan.read(folder.path)

    def say(result: dict[str, Any]) -> str:
        left = sum(not folder.finished(run) and not folder.failed(run) for run in study.runs())
        mean = float(np.mean([done["seconds"] for done in [*folder.results(), result]]))
        hours = left * mean / args.workers / 3600
        return f"loss {result['values']['loss']:.4f}, {left} runs left, about {hours:.2f} h"

    def attempt(run: Run) -> bool:
        return folder.attempt(run, args.stale_after, partial(execute, run, study, folder.path, plan), say)

    # Again after every run that was done: the owner of a claim may have died in the meantime.
    while any(attempt(run) for run in study.runs()):
        pass


def execute(run: Run, study: Study, folder: Path, plan: Plan) -> dict[str, Any]:
    """Pretrain, evaluate and fine-tune, as far as that is not done yet; returns the content of the result file."""
    args, path, log = study.args, folder / "runs" / run.name, folder / "logs" / f"{run.name}.log"
    steps, control = steps_of_run(study, plan.costs, run), plan.costs[study.control.name]
    end_orphan(log)
    if not (path / RESULTS_FILE).exists():
        argv = [*run_arguments(study, study.arms[run.arm], run.seed, steps, path), "--resume"]
        run_command("pretrain", argv, log, args.processes)
    if not (path / EVALUATION_FILE).exists():
        argv = ["--model", str(path), "--output_file", str(path / EVALUATION_FILE), *study.evaluation()]
        run_command("evaluate", argv, log)
    if study.follow_up.ner:
        # A fine-tuning that failed is tried again whenever its run is.
        run_command("sweep", [*study.follow_up.sweep(str(path), str(path / NER_FOLDER)), "--retry_failed"], log)
        shutil.rmtree(SweepFolder(path / NER_FOLDER).features, ignore_errors=True)
    for treebank in study.follow_up.treebanks:
        output_dir = few_shot_folder(path, treebank)
        if not (output_dir / RESULTS_FILE).exists():
            shutil.rmtree(output_dir, ignore_errors=True)  # what a killed run left
            run_command("finetune", study.follow_up.few_shots(str(path), treebank, str(output_dir)), log)
    return read_result(path, control.flops / control.seconds, study.follow_up.treebanks)
