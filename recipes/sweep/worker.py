"""A worker of a sweep: claims a free run, fine-tunes, writes the result, and goes on to the next."""

import copy
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import AutoConfig, AutoModelForTokenClassification, TrainerCallback, set_seed
from transformers.utils import logging

from ...trainers.corpus import model_tokenizer
from ...trainers.loading import load_pretrained
from ...trainers.ner import NERConfig, fine_tune, label_names
from ...trainers.ner.alignment import gold_tags
from ...trainers.ner.entity_counts import sentence_counts
from ...trainers.ner.fine_tuning import prepare
from ...trainers.ner.iob2 import to_entities
from ...trainers.runs.sweep_folder import Model, Run, SweepFolder
from ..arguments.parser import parse
from .arguments import TYPES, SweepArguments


class Backbone:
    """A pretrained model with its tokenizer and tokenised sentences, shared by its runs.

    Raises:
        InputError: a missing model, tokenizer or test set.
    """

    def __init__(self, model: Model, sweep: SweepArguments, args: NERConfig) -> None:
        self.model, self.sweep, self.args = model, sweep, args
        self.tokenizer = model_tokenizer(model.address, model.revision, sweep.tokenizer)
        self.max_length = load_pretrained(AutoConfig, model.address, model.revision).max_position_embeddings
        tests = sweep.load_tests()
        self.test_sets = {name: self._prepare(rows) for name, rows in tests.items()}
        self.treebanks: dict[str, DatasetDict] = {}

    def _prepare(self, rows: Dataset) -> Dataset:
        return prepare(rows, self.tokenizer, self.max_length, self.args)

    def treebank(self, name: str) -> DatasetDict:
        """The train and validation splits of a treebank."""
        if name not in self.treebanks:
            splits = self.sweep.load(name)
            splits.pop("test", None)
            self.treebanks[name] = DatasetDict({split: self._prepare(rows) for split, rows in splits.items()})
        return self.treebanks[name]

    def classifier(self, seed: int) -> Any:
        """The model with a fresh classifier."""
        set_seed(seed)
        address, revision = self.model.address, self.model.revision
        return load_pretrained(
            AutoModelForTokenClassification,
            address,
            revision,
            fresh="score.",
            dtype=torch.float32,
            **label_names(self.sweep.tags),
            **self.args.classifier(),
        )


def work(argv: list[str]) -> None:
    """Do the runs of the sweep with this command line that no other worker does, until none is left."""
    sweep, args = parse(TYPES, argv, prog="sweep")
    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    args.disable_tqdm, args.logging_strategy = True, "no"
    worker = Worker(SweepFolder(Path(args.output_dir)), sweep, args)
    # Again after every run that was done: the owner of a claim may have died in the meantime.
    while any(worker.attempt(run) for run in sweep.runs()):
        pass


class Worker:
    """Does runs in the folder of a sweep, one after the other; `args` are those of fine-tuning."""

    def __init__(self, folder: SweepFolder, sweep: SweepArguments, args: NERConfig) -> None:
        self.folder, self.sweep, self.args = folder, sweep, args
        self.backbone: Backbone | None = None

    def attempt(self, run: Run) -> bool:
        """Do a run unless it is finished, failed or claimed by another worker; True if it was tried."""
        return self.folder.attempt(run, self.sweep.stale_after, partial(self._do, run), partial(_shown, run))

    def _do(self, run: Run) -> dict[str, Any]:
        try:
            if self.backbone is None or self.backbone.model != run.model:
                self.backbone = Backbone(run.model, self.sweep, self.args)
            read = {"split_dev": self.sweep.split_dev, "data_format": asdict(self.sweep.data_format())}
            return read | execute(run, self.backbone, self.folder, self.args)
        finally:
            shutil.rmtree(self.folder.work_path(run), ignore_errors=True)


def _shown(run: Run, result: dict[str, Any]) -> str:
    test = run.train_on if run.train_on in result["scores"] else next(iter(result["scores"]))
    return f"{test} F1 {result['scores'][test]['f1']:.3f}"


def execute(run: Run, backbone: Backbone, folder: SweepFolder, args: NERConfig) -> dict[str, Any]:
    """Fine-tune and evaluate; returns the content of the result file.

    Of every test set it holds `counts`, the entities of each sentence that are correct, predicted and in gold, for
    resamples of sentences, and `entities`, the predicted ones as (sentence, first word, word behind the last, class).
    """
    args = copy.copy(args)
    args.mode, args.seed, args.output_dir = run.mode, run.seed, str(folder.work_path(run))
    if args.mode == "full":
        args.head_solver = "adamw"  # another one is for mode head
    model = backbone.classifier(run.seed)
    treebank = backbone.treebank(run.train_on)
    # An empty callback in place of the progress bar: a sweep prints a line a run.
    tests = backbone.test_sets
    tuned = fine_tune(model, backbone.tokenizer, treebank, args, tests, folder.features, TrainerCallback())
    counts, entities = {}, {}
    for name, rows in tests.items():
        predicted = tuned.tags[name]
        counts[name] = sentence_counts(gold_tags(rows), predicted).tolist()
        entities[name] = [(i, *entity) for i, tags in enumerate(predicted) for entity in to_entities(tags)]
    return {
        "labelled_subword": args.labelled_subword,
        "tag_decoding": args.tag_decoding,
        "features": args.features,
        "head_solver": args.head_solver,
        "penalty": tuned.penalty,
        "learning_rate": args.learning_rate,
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "steps": tuned.steps,
        "truncated_words": tuned.truncated_words,
        "scores": tuned.scores,
        "counts": counts,
        "entities": entities,
    }
