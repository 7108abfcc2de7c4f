"""What a worker of a sweep does: claim a run that nobody has, fine-tune, write its result, and the next."""

import copy
import os
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import AutoConfig, AutoModelForTokenClassification, TrainerCallback, set_seed
from transformers.utils import logging

from ...trainers import load_treebank
from ...trainers.corpus import load_tokenizer
from ...trainers.loading import load_pretrained
from ...trainers.ner import NERConfig, fine_tune, label_names
from ...trainers.ner.alignment import gold_tags
from ...trainers.ner.fine_tuning import prepare
from ...trainers.ner.iob2 import to_entities
from ...trainers.ner.scores import sentence_counts
from ...trainers.ner.treebank import load_test_sets
from ...trainers.runs.sweep_folder import Model, Run, SweepFolder
from ..arguments.parser import parse
from .arguments import TYPES, SweepArguments


class Backbone:
    """What the runs of one pretrained model share: its tokenizer, and sentences that are tokenised once.

    Args:
        model: which one.
        sweep: says what is evaluated on, and where the files are.
        labelled_subword: see `NERConfig`.

    Raises:
        InputError: no such model, tokenizer or test set.
    """

    def __init__(self, model: Model, sweep: SweepArguments, labelled_subword: str) -> None:
        self.model, self.sweep, self.labelled_subword = model, sweep, labelled_subword
        self.tokenizer = load_tokenizer(model.path, model.revision)
        self.max_length = load_pretrained(AutoConfig, model.path, model.revision).max_position_embeddings
        tests = load_test_sets(sweep.evaluate_on, sweep.uner_dir)
        self.test_sets = {name: self.prepare(rows) for name, rows in tests.items()}
        self.treebanks: dict[str, DatasetDict] = {}

    def prepare(self, rows: Dataset) -> Dataset:
        """Tokenised rows."""
        return prepare(rows, self.tokenizer, self.max_length, self.labelled_subword)

    def treebank(self, name: str) -> DatasetDict:
        """The train and validation splits of a treebank."""
        if name not in self.treebanks:
            splits = load_treebank(name, self.sweep.uner_dir)
            kept = {split: self.prepare(rows) for split, rows in splits.items() if split != "test"}
            self.treebanks[name] = DatasetDict(kept)
        return self.treebanks[name]

    def classifier(self, seed: int) -> Any:
        """The model with a fresh classifier."""
        set_seed(seed)
        names = label_names()
        return load_pretrained(AutoModelForTokenClassification, self.model.path, self.model.revision, **names)


def work(argv: list[str], sharing: int = 1) -> None:
    """Do the runs of a sweep that nobody else does, until none is left.

    Args:
        argv: the sweep's command line.
        sharing: workers that share the processors of this machine.
    """
    sweep, args = parse(TYPES, argv, prog="sweep")
    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    args.disable_tqdm, args.logging_strategy = True, "no"
    if sharing > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // sharing))
    worker = Worker(SweepFolder(Path(args.output_dir)), sweep, args)
    # Once more as long as something was done: the owner of a claim may have died in the meantime.
    while any(worker.attempt(run) for run in sweep.runs()):
        pass


class Worker:
    """Does runs one after the other, in one folder.

    Args:
        folder: of the sweep.
        sweep: its arguments.
        args: those of fine-tuning.
    """

    def __init__(self, folder: SweepFolder, sweep: SweepArguments, args: NERConfig) -> None:
        self.folder, self.sweep, self.args = folder, sweep, args
        self.backbone: Backbone | None = None

    def attempt(self, run: Run) -> bool:
        """Do a run unless it is done, failed or claimed; whether it was done or failed here."""
        if self.folder.finished(run) or self.folder.failed(run):
            return False
        claim = self.folder.claim(run, self.sweep.stale_after)
        if claim is None:
            return False
        with claim:
            if self.folder.finished(run) or self.folder.failed(run):
                return False
            started = time.perf_counter()
            try:
                if self.backbone is None or self.backbone.model != run.model:
                    self.backbone = Backbone(run.model, self.sweep, self.args.labelled_subword)
                result = execute(run, self.backbone, self.folder, self.args)
            # One run that fails, for whatever reason, must not stop the others.
            except Exception as error:
                self.folder.save_failure(run, traceback.format_exc())
                print(f"{run.name} failed: {error}", flush=True)
                return True
            finally:
                shutil.rmtree(self.folder.work_path(run), ignore_errors=True)
            seconds = time.perf_counter() - started
            self.folder.save(run, {**result, "seconds": seconds})
            shown = run.train_on if run.train_on in result["scores"] else next(iter(result["scores"]))
            print(f"{run.name}: {shown} F1 {result['scores'][shown]['f1']:.3f}, {seconds:.0f} s", flush=True)
            return True


def execute(run: Run, backbone: Backbone, folder: SweepFolder, args: NERConfig) -> dict[str, Any]:
    """One run: what its result file says behind the run's own description.

    Returns:
        `scores` of validation and every test set (see `entity_scores`); of every test set `counts`, the entities of
        each sentence that are correct, predicted and in gold, for the bootstrap, and `entities`, the predicted ones
        as (sentence, first word, word behind the last, class); and how the training went.
    """
    args = copy.copy(args)
    args.mode, args.seed, args.output_dir = run.mode, run.seed, str(folder.work_path(run))
    model = backbone.classifier(run.seed)
    treebank = backbone.treebank(run.train_on)
    # A callback that does nothing keeps the Trainer from printing: a sweep prints a line a run.
    tuned = fine_tune(
        model, backbone.tokenizer, treebank, args, backbone.test_sets, folder.features, TrainerCallback()
    )
    counts, entities = {}, {}
    for name, rows in backbone.test_sets.items():
        counts[name] = sentence_counts(gold_tags(rows), tuned.tags[name]).tolist()
        entities[name] = [
            (sentence, *entity) for sentence, tags in enumerate(tuned.tags[name]) for entity in to_entities(tags)
        ]
    return {
        "labelled_subword": args.labelled_subword,
        "tag_decoding": args.tag_decoding,
        "learning_rate": args.learning_rate,
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "steps": tuned.steps,
        "truncated_words": tuned.truncated_words,
        "scores": tuned.scores,
        "counts": counts,
        "entities": entities,
    }
