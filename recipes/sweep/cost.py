"""Cost of a sweep: FLOPs by the size of models and treebanks, hours by the pace of finished runs."""

from statistics import median
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoConfig

from ...modeling_pico import PicoConfig
from ...trainers import InputError
from ...trainers.corpus import check_vocabulary, model_tokenizer
from ...trainers.cost import TRAINING, ModelCost
from ...trainers.loading import load_pretrained
from ...trainers.ner import NERConfig
from ...trainers.ner.iob2 import LABELS
from ...trainers.runs.sweep_folder import Model, Run
from .arguments import SweepArguments

# Assumed: a byte-level BPE makes 1.3 sub-words of a word in its own language and 3 in a distant one.
SUBWORDS_A_WORD = 2
SHOWN = 12


def measure(sweep: SweepArguments, runs: list[Run], args: NERConfig) -> dict[str, float]:
    """FLOPs of each run by name, if it trains for all its epochs (see `trainers.cost`).

    In mode full an epoch reads the training set forward and backward and the development set forward; in mode head
    both forward, once for all epochs if features are cached. At the end the test sets are read forward.

    Raises:
        InputError: a missing model, tokenizer, treebank or train split, or a model that is no Pico decoder.
    """
    tests = np.concatenate([lengths(rows) for rows in sweep.load_tests().values()])
    splits = {}
    for name in sweep.train_on:
        treebank = sweep.load(name)
        if "train" not in treebank:
            raise InputError(f"{name} has no train split, only {', '.join(treebank)}: remove it from train_on")
        validation = lengths(treebank["validation"]) if "validation" in treebank else np.empty(0)
        splits[name] = lengths(treebank["train"]), validation
    configs = {model: _pico_config(model, sweep.tokenizer) for model in dict.fromkeys(run.model for run in runs)}
    costs = {}
    for run in runs:
        train, development, test = (encoding(configs[run.model], split) for split in (*splits[run.train_on], tests))
        full = run.mode == "full"
        epochs = args.num_train_epochs if full or not args.cache_features else 1
        costs[run.name] = epochs * ((TRAINING if full else 1) * train + development) + test
    return costs


def lengths(rows: Dataset) -> np.ndarray:
    """(S,) estimated sub-words of each sentence."""
    return SUBWORDS_A_WORD * np.array([len(tokens) for tokens in rows[:]["tokens"]])


def encoding(config: PicoConfig, sentences: np.ndarray) -> float:
    """FLOPs of a forward pass over (S,) sentences of so many sub-words, with the classifier."""
    tokens = sentences.sum()
    context = (sentences**2).sum() / max(tokens, 1)  # the mean over tokens of the length of their sentence
    return ModelCost.of(config).forward(float(tokens), float(context), config.d_model * len(LABELS))


def _pico_config(model: Model, tokenizer: str | None) -> PicoConfig:
    # A missing tokenizer is an error before any run begins.
    loaded = model_tokenizer(model.address, model.revision, tokenizer)
    config = load_pretrained(AutoConfig, model.address, model.revision)
    if not isinstance(config, PicoConfig):
        raise InputError(f"{model.path} is a {config.model_type} model: a sweep fine-tunes Pico decoders only")
    check_vocabulary(loaded, config.vocab_size)
    return config


def estimate(left: list[Run], costs: dict[str, float], results: list[dict[str, Any]]) -> str:
    """The runs that are left and what they will cost, as text.

    The pace of finished runs (`results`) gives the time of the others in their mode; `costs` are FLOPs (`measure`).
    """
    pace: dict[str, list[float]] = {}
    for result in results:
        model = Model(result["size"], result["pretraining"], result["path"], None, result["pretraining_seed"])
        name = Run(model, result["mode"], result["train_on"], result["seed"]).name
        if name in costs:
            pace.setdefault(result["mode"], []).append(result["seconds"] / costs[name])
    seconds = [costs[run.name] * median(pace[run.mode]) for run in left if run.mode in pace]
    lines = [f"{len(left)} runs left", *(f"  {run.name}: {costs[run.name]:.1e} operations" for run in left[:SHOWN])]
    if len(left) > SHOWN:
        lines.append(f"  and {len(left) - SHOWN} more")
    if left:
        lines.append(f"together {sum(costs[run.name] for run in left):.1e} operations at most (early stopping saves)")
        known = f"about {sum(seconds) / 3600:.2f} hours of one worker, at the pace of the finished runs"
        unknown = "the time is known after the first finished run of each mode"
        lines.append(known if len(seconds) == len(left) else unknown)
    return "\n".join(lines)
