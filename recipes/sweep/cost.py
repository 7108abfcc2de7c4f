"""What a sweep will cost: operations from the size of models and treebanks, hours from finished runs."""

from statistics import median
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForTokenClassification

from ...trainers import InputError, load_treebank
from ...trainers.corpus import load_tokenizer
from ...trainers.loading import load_pretrained
from ...trainers.ner import NERConfig
from ...trainers.ner.treebank import load_test_sets
from ...trainers.runs.sweep_folder import Model, Run
from .arguments import SweepArguments

# An assumption: what a byte-level BPE makes of a word is 1.3 sub-words in its own language and 3 in a distant one.
SUBWORDS_A_WORD = 2
SHOWN = 12


def measure(sweep: SweepArguments, runs: list[Run], args: NERConfig) -> dict[str, float]:
    """The floating point operations of every run, by its name, if it trains for all its epochs.

    A forward pass costs 2 operations a parameter and sub-word, a backward pass 4 (Kaplan et al. 2020). Full
    fine-tuning reads the training set forwards and backwards each epoch and the development set forwards; head-only
    reads everything once.

    Raises:
        InputError: a model, tokenizer or treebank that is not there, or one without a train split.
    """
    tests = sum(map(words, load_test_sets(sweep.evaluate_on, sweep.uner_dir).values()))
    train, development = {}, {}
    for name in sweep.train_on:
        treebank = load_treebank(name, sweep.uner_dir)
        if "train" not in treebank:
            raise InputError(f"{name} has no train split, only {', '.join(treebank)}: take it out of train_on")
        train[name] = words(treebank["train"])
        development[name] = words(treebank["validation"]) if "validation" in treebank else 0
    sizes = {model: parameters(model) for model in dict.fromkeys(run.model for run in runs)}
    costs = {}
    for run in runs:
        once = train[run.train_on] + development[run.train_on] + tests
        epochs = args.num_train_epochs
        whole = epochs * (3 * train[run.train_on] + development[run.train_on]) + tests
        passes = once if run.mode == "head" and args.cache_features else whole
        costs[run.name] = 2.0 * sizes[run.model] * SUBWORDS_A_WORD * passes
    return costs


def words(rows: Dataset) -> int:
    """Words of a split."""
    return sum(map(len, rows[:]["tokens"]))


def parameters(model: Model) -> int:
    """Parameters but the embedding's, which is looked up. Opens the configuration and the tokenizer only."""
    load_tokenizer(model.path, model.revision)
    config = load_pretrained(AutoConfig, model.path, model.revision)
    with torch.device("meta"):
        classifier = AutoModelForTokenClassification.from_config(config)
    return classifier.num_parameters() - classifier.get_input_embeddings().weight.numel()


def estimate(left: list[Run], costs: dict[str, float], results: list[dict[str, Any]]) -> str:
    """What is left and what it will cost, as text.

    Args:
        left: runs to do.
        costs: operations of every run (see `measure`).
        results: finished runs, whose pace says how long the others take; without one of a mode its time is unknown.
    """
    pace: dict[str, list[float]] = {}
    for result in results:
        name = Run(
            Model(result["size"], result["pretraining"], result["path"]),
            result["mode"],
            result["train_on"],
            result["seed"],
        ).name
        if name in costs:
            pace.setdefault(result["mode"], []).append(result["seconds"] / costs[name])
    seconds = [costs[run.name] * median(pace[run.mode]) for run in left if run.mode in pace]
    lines = [f"{len(left)} runs left"]
    lines += [f"  {run.name}: {costs[run.name]:.1e} operations" for run in left[:SHOWN]]
    if len(left) > SHOWN:
        lines.append(f"  and {len(left) - SHOWN} more")
    if left:
        lines.append(f"together {sum(costs[run.name] for run in left):.1e} operations at most (early stopping saves)")
        known = f"about {sum(seconds) / 3600:.2f} hours of one worker, at the pace of the finished runs"
        unknown = "the time is known after the first finished run of each mode"
        lines.append(known if len(seconds) == len(left) else unknown)
    return "\n".join(lines)
