"""Fine-tuning a decoder for named entity recognition: head-only or full (section 3.4 of the paper)."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

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
    TrainingArguments,
)
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ...modeling_pico import PicoForTokenClassification
from ..errors import InputError
from .alignment import align, gold_tags, to_tags, truncated_words
from .iob2 import LABELS
from .scores import entity_scores

MODES = ("head", "full")


@dataclass
class NERConfig(TrainingArguments):
    """Arguments of `fine_tune`. Learning rate and epochs are the paper's (3.4); batch size and patience are ours.

    Raises:
        InputError: a value that makes no sense.
    """

    mode: str = field(
        default="full", metadata={"help": "`head` trains the classifier alone on a frozen decoder, `full` everything."}
    )
    early_stopping_patience: int = field(
        default=3, metadata={"help": "Epochs without a better development F1 before the end."}
    )
    learning_rate: float = field(default=3e-5, metadata={"help": "Peak learning rate of AdamW."})
    num_train_epochs: float = field(default=10, metadata={"help": "Epochs at most."})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Sentences of a batch on one process."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentences of an evaluation batch."})

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.early_stopping_patience < 1:
            raise InputError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}")
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False


def fine_tune(
    model: PicoForTokenClassification,
    tokenizer: PreTrainedTokenizerBase,
    treebank: DatasetDict,
    args: NERConfig,
    progress: TrainerCallback | None = None,
) -> dict[str, Any]:
    """Train on `train`, keep the epoch with the best F1 on `validation`, score the splits that exist.

    Args:
        model: a token classifier with the labels of `LABELS`; it holds the best weights afterwards.
        tokenizer: the one the model was pretrained with.
        treebank: splits with `tokens` and `ner_tags` (see `load_treebank`).
        args: the arguments; `mode` head freezes the decoder.
        progress: shown instead of transformers' progress bars.

    Returns:
        `scores` of validation and test (see `entity_scores`), `truncated_words` of each split, `epochs` and `steps`.

    Raises:
        InputError: there is no train split, or the tokenizer gives no word ids.
    """
    if "train" not in treebank:
        raise InputError(f"the treebank has no train split, only {', '.join(treebank)}: choose one to train on")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.base_model.requires_grad_(args.mode == "full")
    encode = partial(align, tokenizer=tokenizer, max_length=model.config.max_seq_len)
    aligned = DatasetDict({split: rows.map(encode, batched=True) for split, rows in treebank.items()})

    validation = aligned.get("validation")
    if validation is not None:
        args.eval_strategy, args.save_strategy = IntervalStrategy.EPOCH, SaveStrategy.EPOCH
        args.load_best_model_at_end, args.metric_for_best_model, args.greater_is_better = True, "f1", True
        args.save_total_limit, args.save_only_model = 1, True
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=aligned["train"],
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=None if validation is None else partial(_f1, rows=validation),
        preprocess_logits_for_metrics=_to_classes,
        callbacks=[] if validation is None else [EarlyStoppingCallback(args.early_stopping_patience)],
    )
    if progress is not None:
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(progress)
    trainer.train()
    trainer.compute_metrics = None  # it knows the validation rows only
    scores = {}
    for split in ("validation", "test"):
        if split in aligned:
            prediction = trainer.predict(aligned[split])
            tags = to_tags(prediction.predictions, prediction.label_ids, aligned[split])
            scores[split] = entity_scores(gold_tags(aligned[split]), tags)
    return {
        "scores": scores,
        "truncated_words": {split: truncated_words(rows) for split, rows in aligned.items()},
        "epochs": trainer.state.epoch,
        "steps": trainer.state.global_step,
    }


def label_names() -> dict[str, dict]:
    """What a model's configuration needs to name its classes: `id2label` and `label2id`."""
    return {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}


def _to_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Keep classes, not logits, so that an evaluation fits in memory."""
    return logits.argmax(-1)


def _f1(prediction: EvalPrediction, rows: Dataset) -> dict[str, float]:
    tags = to_tags(prediction.predictions, prediction.label_ids, rows)
    return {"f1": entity_scores(gold_tags(rows), tags)["f1"]}
