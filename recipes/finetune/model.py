"""The model that is fine-tuned: loaded with a new classifier, saved with its results; and how a curve is printed."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, set_seed

from ...modeling_pico.classifiers_pico import PicoClassifier
from ...trainers.corpus import check_vocabulary, model_tokenizer
from ...trainers.loading import load_pretrained
from ...trainers.runs.files import RESULTS_FILE
from ...trainers.runs.json_files import write_json
from ...trainers.setup_checks import check_setup
from ...trainers.tuning.tuning_config import TuningConfig
from .arguments import FinetuneArguments


def load_model(
    auto_class: Any, data_args: FinetuneArguments, args: TuningConfig, names: dict[str, dict]
) -> tuple[PicoClassifier, PreTrainedTokenizerBase]:
    """Load a checkpoint as `auto_class` with the given classes, and its tokenizer; raise InputError if they misfit."""
    tokenizer = model_tokenizer(data_args.model, data_args.revision, data_args.tokenizer)
    set_seed(args.seed)
    # In half precision the updates of a small learning rate would be rounded away; --bf16 computes in it all the same.
    model = load_pretrained(
        auto_class,
        data_args.model,
        data_args.revision,
        fresh="score.",
        dtype=torch.float32,
        **names,
        **args.classifier(),
    )
    check_vocabulary(tokenizer, model.config.vocab_size)
    check_setup(args, type(model), model.config)
    return model, tokenizer


def save(folder: Path, model: PicoClassifier, tokenizer: PreTrainedTokenizerBase, results: dict[str, Any]) -> None:
    """Write model, tokenizer and results.json."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The model of the best epoch is in the folder itself.
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    write_json(folder / RESULTS_FILE, results)


def print_curve(curve: list[dict[str, Any]]) -> None:
    """Print the rows of a few-shot curve."""
    for row in curve:
        interval = "" if row["draws"] == 1 else f" [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{row['test']}, {row['method']}, K = {row['shots']}: {row['f1']:.3f}{interval}")
