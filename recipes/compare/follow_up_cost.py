"""What evaluation and fine-tuning of a run cost, and whether their data is there, before the first run."""

import time
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from ...modeling_pico import PicoConfig
from ...trainers import InputError, load_treebank
from ...trainers.cost import TRAINING
from ...trainers.loading import load_pretrained
from ...trainers.ner.alignment import gold_tags
from ...trainers.ner.labels import classes_of, tags_of
from ...trainers.ner.shots import draw_sentences
from ...trainers.ner.treebank import load_test_sets
from ...trainers.runs.json_files import read_json
from ..sweep.cost import encoding, lengths
from ..sweep.cost import measure as sweep_flops
from .measures import FollowUp
from .process import CommandFailed, run_command
from .results.run_result import evaluation_values
from .study import Study


@dataclass(frozen=True)
class FollowUpCost:
    """Seconds a run: of `evaluate`, measured; of NER and few-shot training, by FLOPs at the pace of pretraining."""

    evaluation: float = 0.0
    ner: float = 0.0
    few_shot: float = 0.0

    @property
    def seconds(self) -> float:
        """All together."""
        return self.evaluation + self.ner + self.few_shot


def measure_follow_up(study: Study, model: Path, rate: float) -> FollowUpCost:
    """Evaluate the model of a short run, and count what its fine-tuning would take at `rate` FLOPs a second.

    Raises:
        InputError: a treebank, a split or a mention that fine-tuning needs is missing, or the evaluation fails or does
            not give a measure.
    """
    config = load_pretrained(AutoConfig, str(model), None)
    follow_up = study.follow_up
    flops = {"ner": 0.0, "few_shot": 0.0}
    if follow_up.ner:
        sweep, args = follow_up.sweep_settings()
        sweep.models = [f"model/run={model}"]
        flops["ner"] = sum(sweep_flops(sweep, sweep.runs(), args).values())
    for treebank in follow_up.treebanks:
        flops["few_shot"] += few_shot_flops(follow_up, treebank, config)
    file, started = model / "evaluation.json", time.perf_counter()
    try:
        argv = ["--model", str(model), "--output_file", str(file), *study.evaluation()]
        run_command("evaluate", argv, model.with_suffix(".log"))
    except CommandFailed as error:
        raise InputError(f"arm {study.control.name!r} cannot be evaluated: {error.last}") from error
    seconds = time.perf_counter() - started
    measured, _ = evaluation_values(read_json(file))
    for measure in study.margins:
        if measure.split("/")[0] not in ("ner", "few_shot") and measure not in measured:
            raise InputError(f"measure {measure}: the evaluation of a run gives {', '.join(measured)} only")
    return FollowUpCost(seconds, **{name: count / rate for name, count in flops.items()})


def few_shot_flops(follow_up: FollowUp, treebank: str, config: PicoConfig) -> float:
    """FLOPs of few-shot training of a model on a treebank.

    Frozen methods encode the train split and the test sets once; `full` trains on every draw and encodes the test
    sets after each.

    Raises:
        InputError: no train or test split, or too few mentions of a class.
    """
    finetune, args = follow_up.few_shot_settings()
    form = finetune.data_format()
    splits = load_treebank(treebank, finetune.uner_dir, finetune.split_dev, form)
    if missing := [name for name in ("train", "test") if name not in splits]:
        raise InputError(f"few_shot: {treebank} has no {' and no '.join(missing)} split: remove it from train_on")
    names = tags_of(splits["train"])
    others = load_test_sets(finetune.evaluate_on, finetune.uner_dir, form, names).values()
    tests = sum(encoding(config, lengths(rows)) for rows in [splits["test"], *others])
    train, tags = lengths(splits["train"]), gold_tags(splits["train"])
    chosen = [train[draw_sentences(tags, shots, 0, classes_of(names))] for shots in finetune.shots]
    flops = 0.0
    if {"linear", "prototypes"} & set(finetune.few_shot_methods):
        flops += encoding(config, train) + tests
    if "full" in finetune.few_shot_methods:
        epochs = args.num_train_epochs * TRAINING
        flops += finetune.draws * sum(epochs * encoding(config, rows) + tests for rows in chosen)
    return flops
