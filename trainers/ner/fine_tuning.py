"""Fine-tuning a decoder for named entity recognition: head-only or full (section 3.4 of the paper)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from transformers import (
    DataCollatorForTokenClassification,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ...modeling_pico import PicoForTokenClassification
from ..errors import InputError
from .alignment import IGNORED, align, gold_tags, to_tags, truncated_words
from .decoding import decode
from .features import FeatureClassifier, FeatureRows, Features, collate_features
from .iob2 import LABELS
from .ner_config import NERConfig
from .scores import entity_scores, micro_f1, sentence_counts


@dataclass
class FineTuned:
    """What a run found out.

    Attributes:
        scores: of `validation`, `test` and each further test set (see `entity_scores`).
        tags: the predicted tags behind them, of each sentence.
        truncated_words: of each split, words that were cut off and counted as predicted O.
        epochs, steps: that were trained.
        best_epoch: whose weights were kept (None without a validation split).
    """

    scores: dict[str, dict[str, Any]]
    tags: dict[str, list[list[str]]]
    truncated_words: dict[str, int]
    epochs: float
    steps: int
    best_epoch: float | None


class NERTrainer(Trainer):
    """A Trainer whose batches hold sentences of similar length, whatever the number of processes.

    transformers' `train_sampling_strategy` would shuffle evaluation as well, and its order would be lost.
    """

    def __init__(self, *args: Any, lengths: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lengths = lengths

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthGroupedSampler:
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        generator = torch.Generator().manual_seed(self.args.seed)
        return LengthGroupedSampler(together, lengths=self.lengths, generator=generator)


class EarlyStopping(EarlyStoppingCallback):
    """Early stopping whose patience counts from the first epoch that finds an entity.

    A fresh classifier predicts O alone at first, for several epochs where the decoder is frozen.
    """

    def check_metric_value(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metric_value: float
    ) -> None:
        """Count an epoch, unless its F1 is zero."""
        if metric_value > 0:
            super().check_metric_value(args, state, control, metric_value)


def fine_tune(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    treebank: DatasetDict,
    args: NERConfig,
    test_sets: dict[str, Dataset] | None = None,
    features_dir: Path | None = None,
    progress: TrainerCallback | None = None,
) -> FineTuned:
    """Train on `train`, keep the epoch with the best F1 on `validation`, score what there is to test on.

    Args:
        model: a token classifier with the labels of `LABELS`; it holds the best weights afterwards.
        tokenizer: the one the model was pretrained with.
        treebank: splits with `tokens` and `ner_tags` (see `load_treebank`).
        args: the arguments; `mode` head freezes the decoder.
        test_sets: further rows to score, by name.
        features_dir: keeps the features of mode head for other runs (see `Features`).
        progress: shown instead of transformers' progress bars.

    Raises:
        InputError: there is no train split, labels are not those of `LABELS`, or the tokenizer gives no word ids.
    """
    check(model, treebank)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Behind the words, whatever generation left here: cached features count their places from the front.
    tokenizer.padding_side = "right"
    model.base_model.requires_grad_(args.mode == "full")
    # So that whoever uses the model later reads the same sub-words, in the same way.
    model.config.labelled_subword, model.config.tag_decoding = args.labelled_subword, args.tag_decoding
    raw = {**treebank, **(test_sets or {})}
    aligned = {
        name: prepare(rows, tokenizer, model.config.max_seq_len, args.labelled_subword) for name, rows in raw.items()
    }
    # Sorted by length to waste little on padding; `order` brings the predictions back.
    orders = {name: np.argsort(rows["length"], kind="stable")[::-1] for name, rows in aligned.items()}
    evaluated = {name: rows.select(orders[name]) for name, rows in aligned.items() if name != "train"}

    cached = args.mode == "head" and args.cache_features
    if cached:
        model.base_model.to(args.device)
        features = Features(model.base_model, features_dir)
        network: Any = FeatureClassifier(model)
        inputs = {name: FeatureRows(rows, features.encode(rows)) for name, rows in {**aligned, **evaluated}.items()}
    else:
        network, inputs = model, {**aligned, **evaluated}

    validation = evaluated.get("validation")
    if validation is not None:
        args.eval_strategy, args.save_strategy = IntervalStrategy.EPOCH, SaveStrategy.EPOCH
        args.load_best_model_at_end, args.metric_for_best_model, args.greater_is_better = True, "f1", True
        args.save_total_limit, args.save_only_model = 1, True
    args.remove_unused_columns = not cached
    trainer = NERTrainer(
        model=network,
        args=args,
        train_dataset=inputs["train"],
        eval_dataset=inputs.get("validation"),
        processing_class=tokenizer,
        data_collator=collate_features if cached else DataCollatorForTokenClassification(tokenizer),
        compute_metrics=None if validation is None else partial(_f1, rows=validation[:], gold=gold_tags(validation)),
        preprocess_logits_for_metrics=partial(_to_classes, decoding=args.tag_decoding),
        callbacks=[] if validation is None else [EarlyStopping(args.early_stopping_patience)],
        lengths=list(aligned["train"]["length"]),
    )
    if progress is not None:
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(progress)
    trainer.train()
    trainer.compute_metrics = None  # it knows the validation rows only
    scores, tags = {}, {}
    for name, rows in evaluated.items():
        prediction = trainer.predict(inputs[name])
        found = predicted_tags(prediction.predictions, prediction.label_ids, rows[:])
        tags[name] = [found[i] for i in np.argsort(orders[name])]
        scores[name] = entity_scores(gold_tags(aligned[name]), tags[name])
    return FineTuned(
        scores=scores,
        tags=tags,
        truncated_words={name: truncated_words(rows) for name, rows in aligned.items()},
        epochs=trainer.state.epoch,
        steps=trainer.state.global_step,
        best_epoch=_best_epoch(trainer),
    )


def prepare(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, labelled_subword: str) -> Dataset:
    """Rows with the columns of `align`; taken as they are if they have them already, so that a sweep aligns once."""
    if "labelled_words" in rows.column_names:
        return rows
    options = {"tokenizer": tokenizer, "max_length": max_length, "labelled_subword": labelled_subword}
    return rows.map(align, batched=True, fn_kwargs=options)


def check(model: PicoForTokenClassification, treebank: DatasetDict) -> None:
    """Refuse what cannot be trained on.

    Raises:
        InputError: no train split, or labels other than `LABELS` in the treebank or the model.
    """
    if "train" not in treebank:
        raise InputError(f"the treebank has no train split, only {', '.join(treebank)}: choose one to train on")
    for name, rows in treebank.items():
        labels = tuple(rows.features["ner_tags"].feature.names)
        if labels != LABELS:
            raise InputError(f"{name} has the labels {', '.join(labels)}: map them to {', '.join(LABELS)}")
    check_labels(model)


def check_labels(model: PicoForTokenClassification) -> None:
    """Refuse a model whose classes are others.

    Raises:
        InputError: labels other than `LABELS`.
    """
    labels = tuple(model.config.id2label[i] for i in sorted(model.config.id2label))
    if labels != LABELS:
        raise InputError(
            f"the model knows the labels {', '.join(labels)}, not {', '.join(LABELS)}: take one that was fine-tuned "
            "for NER, or to fine-tune load it with **label_names()"
        )


def predicted_tags(classes: np.ndarray, labels: np.ndarray, rows: dict[str, list]) -> list[list[str]]:
    """Tags of aligned rows from the class of every sub-word: `classes` and `labels` are (R, T), -100 not labelled."""
    kept = [row[mask] for row, mask in zip(classes, labels != IGNORED, strict=True)]
    return to_tags(kept, rows["labelled_words"], map(len, rows["ner_tags"]))


def label_names() -> dict[str, dict]:
    """What a model's configuration needs to name its classes: `id2label` and `label2id`."""
    return {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}


def _to_classes(logits: Tensor, labels: Tensor, decoding: str) -> Tensor:
    """Keep classes, not logits, so that an evaluation fits in memory."""
    return decode(logits, labels != IGNORED, decoding)


def _f1(prediction: EvalPrediction, rows: dict[str, list], gold: list[list[str]]) -> dict[str, float]:
    tags = predicted_tags(prediction.predictions, prediction.label_ids, rows)
    return {"f1": float(micro_f1(sentence_counts(gold, tags).sum(0)))}


def _best_epoch(trainer: Trainer) -> float | None:
    evaluations: Iterable[dict] = [entry for entry in trainer.state.log_history if "eval_f1" in entry]
    return next((entry["epoch"] for entry in evaluations if entry["step"] == trainer.state.best_global_step), None)
