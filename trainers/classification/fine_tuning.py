"""Fine-tune a decoder to classify texts: all of it, or its classifier."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor, nn
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedTokenizerBase,
    TrainerCallback,
    default_data_collator,
)

from ...modeling_pico import PicoForSequenceClassification
from ..errors import InputError
from ..tuning.logistic_head import fit
from ..tuning.trainer import best_epoch, make_trainer, set_up
from .classification_config import ClassificationConfig
from .features import FeatureClassifier, encode, feature_rows, tokenize
from .texts import classes_of


@dataclass
class FineTuned:
    """Results of a fine-tuning run.

    Attributes:
        scores: of `validation` and `test` (see `ClassScores`).
        predictions: the class of each text of these splits.
        truncated_texts: of each split, texts that are longer than the model reads.
        epochs, steps: trained; 0 with `head_solver` lbfgs.
        penalty: of the squared weights, as chosen by `head_solver` lbfgs.
        best_epoch: the epoch of the final weights (None with `chosen_epoch` last or no validation split).
    """

    scores: dict[str, dict[str, Any]]
    predictions: dict[str, np.ndarray]
    truncated_texts: dict[str, int]
    epochs: float
    steps: int
    best_epoch: float | None
    penalty: float | None = None


def fine_tune(
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    splits: DatasetDict,
    args: ClassificationConfig,
    progress: TrainerCallback | None = None,
) -> FineTuned:
    """Train on `train`, choose the epoch with the best macro-F1 on `validation`, score every other split.

    Args:
        model: a classifier with the classes of the splits; it holds the chosen weights afterwards.
        tokenizer: the one the model was pretrained with.
        splits: see `load_texts`.
        args: the arguments; `mode` head freezes the decoder.
        progress: replaces transformers' progress bars.

    Raises:
        InputError: lbfgs without a validation split, a model with other classes or another input of its classifier,
            or a tokenizer that makes no token of a text.
    """
    check(model, splits, args)
    set_up(model, tokenizer, args)
    rows = {name: prepare(split, model, tokenizer, args) for name, split in splits.items()}
    network, inputs, collator = _network(model, tokenizer, rows, args)
    trainer = make_trainer(
        network,
        args,
        inputs,
        list(rows["train"]["length"]),
        _macro_f1 if "validation" in rows else None,
        progress,
        processing_class=tokenizer,
        data_collator=collator,
        preprocess_logits_for_metrics=_to_classes,
    )
    penalty = _fit_head(model, inputs, args) if args.head_solver == "lbfgs" else None
    if penalty is None:
        trainer.train()
    trainer.compute_metrics = None  # it is for the validation rows only
    predictions = {name: trainer.predict(inputs[name]).predictions for name in rows if name != "train"}
    return FineTuned(
        scores={name: score(rows[name], classes) for name, classes in predictions.items()},
        predictions=predictions,
        truncated_texts={name: sum(split["truncated"]) for name, split in rows.items()},
        epochs=trainer.state.epoch or 0,
        steps=trainer.state.global_step,
        best_epoch=best_epoch(trainer.state),
        penalty=penalty,
    )


def check(model: PicoForSequenceClassification, splits: DatasetDict, args: ClassificationConfig) -> None:
    """Raise InputError if a split is missing, classes differ, or the classifier reads something else."""
    args.check_mode()
    if args.head_solver == "lbfgs" and "validation" not in splits:
        raise InputError("head_solver lbfgs chooses its penalty on a validation split, which is missing: add one")
    for name, value in args.classifier().items():
        if getattr(model.config, name) != value:
            raise InputError(f"these arguments need a model loaded with {name}={value!r}")
    own = [model.config.id2label[i] for i in sorted(model.config.id2label)]
    for name, rows in splits.items():
        if classes_of(rows) != own:
            raise InputError(f"{name} has the classes {', '.join(classes_of(rows))}, the model {', '.join(own)}")


def prepare(
    rows: Dataset, model: PicoForSequenceClassification, tokenizer: PreTrainedTokenizerBase, args: ClassificationConfig
) -> Dataset:
    """Add the columns of `tokenize`, cut to what the model reads or `max_sentence_tokens`."""
    longest = model.config.max_seq_len
    options = {"tokenizer": tokenizer, "max_length": min(args.max_sentence_tokens or longest, longest)}
    return rows.map(tokenize, batched=True, fn_kwargs=options)


def score(rows: Dataset, classes: np.ndarray) -> dict[str, Any]:
    """The scores of predicted classes (see `ClassScores`)."""
    # Imported here, because it loads evaluate and scikit-learn.
    from .scores import ClassScores

    names = classes_of(rows)
    references = [names[i] for i in rows["label"]]
    return ClassScores().compute(predictions=[names[i] for i in classes], references=references)


def _network(
    model: PicoForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    rows: dict[str, Dataset],
    args: ClassificationConfig,
) -> tuple[nn.Module, dict[str, Any], Callable]:
    """The network to train, its rows of each split and their collator: features in mode head, else ids."""
    cached = args.mode == "head" and args.cache_features
    args.remove_unused_columns = not cached
    if not cached:
        return model, rows, DataCollatorWithPadding(tokenizer)
    model.base_model.to(args.device)
    inputs = {name: feature_rows(split, encode(model, split)) for name, split in rows.items()}
    return FeatureClassifier(model), inputs, default_data_collator


def _fit_head(model: PicoForSequenceClassification, inputs: dict[str, Any], args: ClassificationConfig) -> float:
    """Fit the classifier on a frozen decoder (see `logistic_head`); returns the penalty that was best."""
    from .scores import macro_f1

    (train, labels), (validation, gold) = (features_and_labels(inputs[name]) for name in ("train", "validation"))
    layers = model.config.n_layers + 1 if args.features == "mix" else 0
    head = fit(train, labels, model.num_labels, lambda head: macro_f1(gold, head(validation).argmax(-1)), layers)
    with torch.no_grad():
        model.score.weight.copy_(head.weight)
        model.score.bias.copy_(head.bias)
    return head.penalty


def features_and_labels(rows: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    """Features (N, W) and classes (N,) of feature rows."""
    return torch.stack([row["features"] for row in rows]), torch.tensor([row["label"] for row in rows])


def _to_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Reduce logits to classes, so that an evaluation gathers no more."""
    return logits.argmax(-1)


def _macro_f1(prediction: EvalPrediction) -> dict[str, float]:
    from .scores import macro_f1

    return {"f1": macro_f1(prediction.label_ids, prediction.predictions)}
