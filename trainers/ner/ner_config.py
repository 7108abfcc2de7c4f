"""The arguments of fine-tuning for named entity recognition."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from ..errors import InputError
from ..runs.safety.safety_config import refuse_token
from .alignment import SUBWORDS
from .decoding import DECODINGS

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
    labelled_subword: str = field(
        default="first",
        metadata={"help": "Sub-word that carries a word's label: `first` (usual), `last` (seen whole by the model)."},
    )
    tag_decoding: str = field(
        default="argmax",
        metadata={
            "help": "`argmax` of each word (comparable with the paper), or `iob2`, the most probable valid tags."
        },
    )
    cache_features: bool = field(
        default=True,
        metadata={"help": "In mode head, encode each sentence once instead of once an epoch; the result is the same."},
    )
    early_stopping_patience: int = field(
        default=3,
        metadata={"help": "Epochs without a better development F1 before the end, counted once it is not zero."},
    )
    learning_rate: float = field(default=3e-5, metadata={"help": "Peak learning rate of AdamW."})
    num_train_epochs: float = field(default=10, metadata={"help": "Epochs at most."})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Sentences of a batch on one process."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentences of an evaluation batch."})

    def __post_init__(self) -> None:
        for name, values in (("mode", MODES), ("labelled_subword", SUBWORDS), ("tag_decoding", DECODINGS)):
            if self.__dict__[name] not in values:
                raise InputError(f"{name} must be one of {', '.join(values)}, got {self.__dict__[name]!r}")
        if self.early_stopping_patience < 1:
            raise InputError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}")
        refuse_token(self.hub_token)
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False
