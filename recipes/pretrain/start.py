"""Where a run starts: in a new folder, from its newest checkpoint, or from a training state on the Hub."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer

from ...trainers import InputError
from ...trainers.runs.checkpoints import step_of
from ...trainers.runs.files import ARGUMENTS_FILE, DYNAMICS_FILE, METRICS_FILE
from ...trainers.runs.folder import check_free, check_same_run, checkpoint_to_resume, earlier_values, has_run
from ...trainers.runs.json_files import read_json
from ..arguments.training_text import check_goes_on
from ..publish.background import check_access
from ..publish.resuming import fetch_state
from ..publish.settings import Settings
from .arguments import TASKS, PretrainArguments
from .branching import BRANCH, branch_point, is_start

logger = logging.getLogger(__name__)

CORPUS_HASH = "corpus_hash"  #: in arguments.json; earlier versions did not record it


@contextmanager
def undone_before_first_step(folder: Path, trainer: Trainer, is_new: bool) -> Iterator[None]:
    """Delete what the block wrote to the folder of a new run if it raises before the first step: it stays free."""
    before = set(folder.iterdir()) if is_new else set()
    try:
        yield
    except Exception:
        if is_new and trainer.state.global_step == 0:
            for path in set(folder.iterdir()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def find_start(args: PretrainArguments, saved: dict[str, Any]) -> tuple[Path | None, Settings | None]:
    """The checkpoint to go on from and, on the main process, the settings of publishing; None where there are none.

    Arguments that an earlier version of the package did not record get the value that it worked by.
    Raises InputError if the folder is not free, `saved` arguments differ from those of the run that goes on, its
    corpus changed, text that is held out was trained on before (`init_from`, `branch_from`), there is no such
    checkpoint, or the Hub grants no access.
    """
    training, run = args.training, args.run
    output_dir, is_main = Path(training.output_dir), training.process_index == 0
    checkpoint, published_as = None, None
    with training.main_process_first(local=False, desc="start"):
        started = run.resume and has_run(output_dir)
        if run.resume_from is not None and not started and is_main:
            check_free(output_dir)
            published_as = fetch_state(run.resume_from, args.publish.publish_to, output_dir)
    if started or run.resume_from is not None:
        with training.main_process_first(local=False, desc="checkpoint"):
            checkpoint = checkpoint_to_resume(output_dir, hashes=is_main)
            if run.branch_from is not None and BRANCH in (recorded := read_json(output_dir / ARGUMENTS_FILE)):
                saved[BRANCH] = recorded[BRANCH]
            check_same_run(output_dir, saved, step_of(checkpoint) if checkpoint else 0)
            for name, value in earlier_values(output_dir).items():
                setattr(args.corpus if name == "split_by" else training, name, value)
                saved[name] = value  # arguments.json of a run that starts again
            if checkpoint is not None and is_main and not run.other_corpus:
                check_same_corpus(output_dir, args)
            if checkpoint is None:  # the run ended before its first checkpoint: it starts again
                checkpoint = branch_point(args, saved, hashes=is_main) if run.branch_from else None
                for name in (METRICS_FILE, DYNAMICS_FILE):
                    (output_dir / name).unlink(missing_ok=True)
    else:
        check_free(output_dir)
        for name, base in (("init_from", args.model.init_from), ("branch_from", run.branch_from)):
            if base is not None:
                check_goes_on(args.corpus, name, base)
        if run.branch_from is not None:
            checkpoint = branch_point(args, saved, hashes=is_main)
    if run.resume and is_main:
        begins = "nothing to resume, a new run begins" if not started else "starts again, no checkpoint was saved"
        logger.warning(f"{output_dir}: {f'goes on from {checkpoint.name}' if checkpoint else begins}")
    if is_start(checkpoint, output_dir) and is_main:
        saved[CORPUS_HASH] = args.content_hashes()
    settings = Settings.of_run(output_dir, args.publish, published_as) if is_main else None
    if settings is not None:
        check_access(settings)
    return checkpoint, settings


def check_same_corpus(output_dir: Path, args: PretrainArguments) -> None:
    """Raise InputError if the files of corpus or tasks differ from what they were when the run in the folder began."""
    before = read_json(output_dir / ARGUMENTS_FILE).get(CORPUS_HASH, {})
    now = args.content_hashes()
    if changed := [name for name in before if before[name] != now.get(name)]:
        values = {"dataset": args.corpus.dataset} | args.corpus.paths() | {TASKS: " ".join(args.training.task_files)}
        paths = " and ".join(f"{name} {values.get(name, 'of the mixture')!r}" for name in changed)
        raise InputError(
            f"{paths} changed since the run in {output_dir} began: restore the files, or resume with --other_corpus "
            "to go on with those that are there"
        )
