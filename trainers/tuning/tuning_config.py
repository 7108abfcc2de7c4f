"""The arguments of fine-tuning for any task."""

from dataclasses import dataclass

from transformers import TrainingArguments
from transformers.hf_argparser import HfArg

from ..checks import check_at_least, check_choice
from ..errors import InputError
from ..runs.safety.safety_config import refuse_token
from ..setup_checks import check_numbers

MODES = ("head", "full")
FEATURES = ("last", "all", "mix")
HEAD_SOLVERS = ("adamw", "lbfgs")
CHOICES_OF_EPOCH = ("best", "last")


@dataclass
class TuningConfig(TrainingArguments):
    """Fine-tuning. Learning rate and epochs are the paper's (3.4); batch size and patience are ours."""

    mode: str = HfArg(default="full", help="`full` trains all weights, `head` the classifier on a frozen decoder.")
    max_sentence_tokens: int | None = HfArg(
        default=None,
        help="Sub-words after which a sentence is cut (unset: as many as the model reads).",
    )
    classifier_dropout: float | None = HfArg(
        default=None, help="Dropout before the classifier (unset: the model's, 0.1 for Pico; 0: none)."
    )
    features: str = HfArg(
        default="last",
        help="Layers that the classifier reads: the `last` (the paper's), `all` side by side, or a learned `mix`.",
    )
    head_solver: str = HfArg(
        default="adamw",
        help="How mode head is trained: `adamw` for epochs (the paper's), or `lbfgs` to convergence, as a logistic "
        "regression on standardised features with the L2 penalty that is best on validation.",
    )
    cache_features: bool = HfArg(
        default=True, help="In mode head, encode each sentence once. Otherwise once an epoch: slower, same result."
    )
    batch_by_length: bool = HfArg(
        default=True, help="Batch sentences of similar length. False: at random, which pads more."
    )
    chosen_epoch: str = HfArg(
        default="best", help="Final weights. `best` (epoch with the best validation F1) or `last`, without evaluation."
    )
    early_stopping_patience: int = HfArg(
        default=3, help="Epochs without a better validation F1 before the end. They count from the first F1 above 0."
    )
    learning_rate: float = HfArg(default=3e-5, help="Peak learning rate of AdamW.")
    num_train_epochs: float = HfArg(default=10, help="Maximum number of epochs.")
    per_device_train_batch_size: int = HfArg(default=16, help="Sentences per batch on each process.")
    per_device_eval_batch_size: int = HfArg(default=32, help="Sentences per evaluation batch.")

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("features", self.features, FEATURES)
        check_choice("head_solver", self.head_solver, HEAD_SOLVERS)
        if self.head_solver == "lbfgs" and not self.cache_features:
            raise InputError("head_solver lbfgs needs cache_features")
        if self.features == "mix" and self.head_solver != "lbfgs":
            raise InputError("features mix is learned by head_solver lbfgs: give that too")
        check_choice("chosen_epoch", self.chosen_epoch, CHOICES_OF_EPOCH)
        if self.max_sentence_tokens is not None:
            check_at_least(1, max_sentence_tokens=self.max_sentence_tokens)
        if self.classifier_dropout is not None and not 0 <= self.classifier_dropout < 1:
            raise InputError(f"classifier_dropout must be at least 0 and below 1, got {self.classifier_dropout}")
        check_at_least(1, early_stopping_patience=self.early_stopping_patience)
        check_numbers(self)
        refuse_token(self.hub_token)
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False

    def check_mode(self) -> None:
        """Raise InputError if the mode is not the one that `head_solver` trains; a sweep goes through modes."""
        if self.head_solver == "lbfgs" and self.mode != "head":
            raise InputError(f"head_solver lbfgs trains mode head, got mode {self.mode}: give --mode head")

    def classifier(self) -> dict[str, str]:
        """The arguments of the model's configuration that give its classifier the right shape."""
        return {"classifier_features": "last" if self.features == "last" else "all"}
