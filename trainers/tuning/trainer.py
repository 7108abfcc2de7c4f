"""The trainer of fine-tuning: batches of similar length, and the epoch that is best on validation."""

from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from torch.utils.data import Sampler
from transformers import (
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

from ...modeling_pico.classifiers_pico import PicoClassifier
from .tuning_config import TuningConfig


class TuningTrainer(Trainer):
    """A Trainer whose batches hold sentences of similar length, whatever the number of processes.

    With `lengths` None they are random. transformers' own `train_sampling_strategy` would also shuffle evaluation and
    lose its order.
    """

    def __init__(self, *args: Any, lengths: list[int] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lengths = lengths

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        if self.lengths is None:
            return super()._get_train_sampler(train_dataset)
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        generator = torch.Generator().manual_seed(self.args.seed)
        return LengthGroupedSampler(together, lengths=self.lengths, generator=generator)


class EarlyStopping(EarlyStoppingCallback):
    """Early stopping whose patience counts from the first epoch with an F1 above zero.

    A new tagger predicts only O at first, for several epochs if the decoder is frozen.
    """

    def check_metric_value(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metric_value: float
    ) -> None:
        """Count an epoch, unless its F1 is zero."""
        if metric_value > 0:
            super().check_metric_value(args, state, control, metric_value)


def make_trainer(
    network: nn.Module,
    args: TuningConfig,
    inputs: dict[str, Any],
    lengths: list[int],
    f1: Callable[[EvalPrediction], dict[str, float]] | None,
    progress: TrainerCallback | None,
    **options: Any,
) -> TuningTrainer:
    """A trainer on `inputs["train"]` that ends with the epoch of the best F1 on `inputs["validation"]`.

    Args:
        network: the model, or its classifier on features.
        inputs: rows of each split.
        lengths: of the training rows, by which they are batched.
        f1: returns {"f1": ...} of a prediction of the validation rows; None without such a split.
        progress: replaces transformers' progress bars.
        options: of `Trainer`.
    """
    trainer = TuningTrainer(
        model=network,
        args=args,
        train_dataset=inputs["train"],
        lengths=lengths if args.batch_by_length else None,
        **options,
        **_choice_of_epoch(inputs, args, f1),
    )
    if progress is not None:
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(progress)
    return trainer


def _choice_of_epoch(
    inputs: dict[str, Any], args: TuningConfig, f1: Callable[[EvalPrediction], dict[str, float]] | None
) -> dict[str, Any]:
    """Arguments of the trainer that choose the epoch with the best F1 on the validation split; none without one."""
    if args.chosen_epoch == "last":
        args.eval_strategy, args.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
        return {}
    if f1 is None:
        return {}
    args.eval_strategy, args.save_strategy = IntervalStrategy.EPOCH, SaveStrategy.EPOCH
    args.load_best_model_at_end, args.metric_for_best_model, args.greater_is_better = True, "f1", True
    args.save_total_limit, args.save_only_model = 1, True
    return {
        "eval_dataset": inputs["validation"],
        "compute_metrics": f1,
        "callbacks": [EarlyStopping(args.early_stopping_patience)],
    }


def best_epoch(state: TrainerState) -> float | None:
    """The epoch of the final weights, None where none was chosen."""
    evaluations = (entry for entry in state.log_history if "eval_f1" in entry)
    return next((entry["epoch"] for entry in evaluations if entry["step"] == state.best_global_step), None)


def set_up(model: PicoClassifier, tokenizer: PreTrainedTokenizerBase, args: TuningConfig) -> None:
    """Freeze the decoder in mode head, and set padding and dropout."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Behind the words, even after text generation padded on the left: features store places from the front.
    tokenizer.padding_side = "right"
    model.base_model.requires_grad_(args.mode == "full")
    if args.classifier_dropout is not None:
        model.config.classifier_dropout = model.dropout.p = args.classifier_dropout
