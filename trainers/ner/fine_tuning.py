"""Fine-tune a decoder for named entity recognition: head-only or full (section 3.4 of the paper)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor, nn
from transformers import (
    DataCollatorForTokenClassification,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
)

from ...modeling_pico import PicoForTokenClassification
from ...modeling_pico.tagging_pico import decode_tags
from ..errors import InputError
from ..tuning.logistic_head import fit
from ..tuning.trainer import best_epoch, make_trainer, set_up
from .alignment import IGNORED, align, gold_tags, predicted_tags, truncated_words
from .entity_counts import micro_f1, sentence_counts
from .features import FeatureClassifier, Features, collate_features, feature_rows
from .frozen_split import FrozenSplit
from .labels import check_same, tags_of, tags_of_model
from .ner_config import NERConfig


@dataclass
class FineTuned:
    """Results of a fine-tuning run.

    Attributes:
        scores: of `validation`, `test` and each further test set (see `EntityScores`).
        tags: the predicted tags of each sentence of these splits.
        truncated_words: of each split, words beyond the model's length, which count as predicted O.
        epochs, steps: trained; 0 with `head_solver` lbfgs.
        penalty: of the squared weights, as chosen by `head_solver` lbfgs.
        best_epoch: the epoch of the final weights (None with `chosen_epoch` last or no validation split).
    """

    scores: dict[str, dict[str, Any]]
    tags: dict[str, list[list[str]]]
    truncated_words: dict[str, int]
    epochs: float
    steps: int
    best_epoch: float | None
    penalty: float | None = None


def fine_tune(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    treebank: DatasetDict,
    args: NERConfig,
    test_sets: dict[str, Dataset] | None = None,
    features_dir: Path | None = None,
    progress: TrainerCallback | None = None,
) -> FineTuned:
    """Train on `train`, choose the epoch with the best F1 on `validation`, score every other split.

    Args:
        model: a token classifier with the tags of the treebank; it holds the chosen weights afterwards.
        tokenizer: the one the model was pretrained with.
        treebank: splits with `tokens` and `ner_tags` (see `load_treebank`).
        args: the arguments; `mode` head freezes the decoder.
        test_sets: further rows to score, by name.
        features_dir: stores the features of mode head for other runs (see `Features`).
        progress: replaces transformers' progress bars.

    Raises:
        InputError: there is no train split, model, treebank and test sets differ in their tags, or the tokenizer gives
            no word ids.
    """
    check(model, treebank, args, test_sets or {})
    configure(model, tokenizer, args)
    raw = {**treebank, **(test_sets or {})}
    aligned = {name: prepare(rows, tokenizer, model.config.max_seq_len, args) for name, rows in raw.items()}
    # Sorted by length, which needs little padding; `orders` restores the order of the predictions.
    orders = {name: np.argsort(rows["length"], kind="stable")[::-1] for name, rows in aligned.items()}
    evaluated = {name: rows.select(orders[name]) for name, rows in aligned.items() if name != "train"}
    network, inputs, collator = _network(model, tokenizer, {**aligned, **evaluated}, args, features_dir)
    trainer = make_trainer(
        network,
        args,
        inputs,
        list(aligned["train"]["length"]),
        f1_of(evaluated["validation"]) if "validation" in evaluated else None,
        progress,
        processing_class=tokenizer,
        data_collator=collator,
        preprocess_logits_for_metrics=partial(_to_classes, decoding=args.tag_decoding, names=tags_of_model(model)),
    )
    penalty = _fit_head(model, inputs, evaluated, args) if args.head_solver == "lbfgs" else None
    if penalty is None:
        trainer.train()
    trainer.compute_metrics = None  # it is for the validation rows only
    tags = {name: _predict(trainer, inputs[name], rows, orders[name]) for name, rows in evaluated.items()}
    return FineTuned(
        scores=_scores(tags, aligned),
        tags=tags,
        truncated_words={name: truncated_words(rows) for name, rows in aligned.items()},
        epochs=trainer.state.epoch or 0,
        penalty=penalty,
        steps=trainer.state.global_step,
        best_epoch=best_epoch(trainer.state),
    )


def prepare(rows: Dataset, tokenizer: PreTrainedTokenizerBase, model_length: int, args: NERConfig) -> Dataset:
    """Add the columns of `align`; rows that have them already are returned unchanged, so that a sweep aligns once.

    Args:
        model_length: tokens that the model reads at most; `args.max_sentence_tokens` may be lower.
    """
    if "labelled_words" in rows.column_names:
        return rows
    options = {
        "tokenizer": tokenizer,
        "max_length": min(args.max_sentence_tokens or model_length, model_length),
        "labelled_subword": args.labelled_subword,
        "space_before_words": args.space_before_words,
    }
    return rows.map(align, batched=True, fn_kwargs=options)


def check(
    model: PicoForTokenClassification, treebank: DatasetDict, args: NERConfig, test_sets: dict[str, Dataset]
) -> None:
    """Raise InputError if a split is missing, tags differ, or the classifier reads other layers."""
    args.check_mode()
    if args.head_solver == "lbfgs" and "validation" not in treebank:
        raise InputError("head_solver lbfgs chooses its penalty on a validation split, which the treebank lacks")
    for name, value in args.classifier().items():
        if getattr(model.config, name) != value:
            raise InputError(f"features {args.features} needs a model loaded with {name}={value!r}")
    if "train" not in treebank:
        raise InputError(f"the treebank has no train split, only {', '.join(treebank)}: choose one to train on")
    own = tags_of(treebank["train"])
    for name, rows in {**treebank, **test_sets}.items():
        check_same(own, tags_of(rows), name)
    check_same(own, tags_of_model(model), "the model")


def configure(model: PicoForTokenClassification, tokenizer: PreTrainedTokenizerBase, args: NERConfig) -> None:
    """Freeze the decoder in mode head, set padding and dropout, and record in the model how tags are read."""
    set_up(model, tokenizer, args)
    # Saved with the model, so that prediction uses the same sub-words and the same decoding.
    model.config.labelled_subword, model.config.tag_decoding = args.labelled_subword, args.tag_decoding
    model.config.space_before_words = args.space_before_words


def _network(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    splits: dict[str, Dataset],
    args: NERConfig,
    features_dir: Path | None,
) -> tuple[nn.Module, dict[str, Any], Callable]:
    """The network to train, its rows of each split and their collator: features in mode head, else ids."""
    cached = args.mode == "head" and args.cache_features
    args.remove_unused_columns = not cached
    if not cached:
        return model, splits, DataCollatorForTokenClassification(tokenizer)
    model.base_model.to(args.device)
    features = Features(model.base_model, model.config.classifier_features, features_dir)
    inputs = {name: feature_rows(rows, features.encode(rows)) for name, rows in splits.items()}
    return FeatureClassifier(model), inputs, collate_features


def _fit_head(
    model: PicoForTokenClassification, inputs: dict[str, Any], evaluated: dict[str, Dataset], args: NERConfig
) -> float:
    """Fit the classifier on a frozen decoder (see `logistic_head`); returns the penalty that was best."""
    train = FrozenSplit(inputs["train"], {}, [], ())
    validation = FrozenSplit.of(inputs["validation"], evaluated["validation"])
    layers = model.config.n_layers + 1 if args.features == "mix" else 0
    head = fit(*train.flat(), len(validation.names), lambda head: validation.f1(head, args.tag_decoding), layers)
    with torch.no_grad():
        model.score.weight.copy_(head.weight)
        model.score.bias.copy_(head.bias)
    return head.penalty


def _predict(trainer: Trainer, inputs: Any, rows: Dataset, order: np.ndarray) -> list[list[str]]:
    """Predicted tags of sorted rows, in the order before they were sorted."""
    prediction = trainer.predict(inputs)
    tags = predicted_tags(prediction.predictions, prediction.label_ids, rows[:], tags_of(rows))
    return [tags[i] for i in np.argsort(order)]


def _scores(tags: dict[str, list[list[str]]], aligned: dict[str, Dataset]) -> dict[str, dict[str, Any]]:
    # Imported here, because it loads evaluate and scikit-learn, for which pretraining need not wait.
    from .scores import EntityScores

    metric = EntityScores()
    return {name: metric.compute(predictions=tags[name], references=gold_tags(aligned[name])) for name in tags}


def _to_classes(logits: Tensor, labels: Tensor, decoding: str, names: tuple[str, ...]) -> Tensor:
    """Reduce logits to classes, so that an evaluation fits in memory."""
    return decode_tags(logits, labels != IGNORED, decoding, names)


def f1_of(rows: Dataset) -> Callable[[EvalPrediction], dict[str, float]]:
    """What computes the F1 of predictions of aligned rows."""
    return partial(_f1, rows=rows[:], gold=gold_tags(rows), names=tags_of(rows))


def _f1(
    prediction: EvalPrediction, rows: dict[str, list], gold: list[list[str]], names: tuple[str, ...]
) -> dict[str, float]:
    """F1 alone, in an eighth of the time that all entity scores take."""
    tags = predicted_tags(prediction.predictions, prediction.label_ids, rows, names)
    return {"f1": float(micro_f1(sentence_counts(gold, tags).sum(0)))}
