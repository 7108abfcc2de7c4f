"""The arguments of fine-tuning for named entity recognition."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from ..checks import check_at_least, check_choice
from ..runs.safety.safety_config import refuse_token
from .alignment import SUBWORDS
from .decoding import DECODINGS

MODES = ("head", "full")


@dataclass
class NERConfig(TrainingArguments):
    """Arguments of `fine_tune`. Learning rate and epochs are the paper's (3.4); batch size and patience are ours."""

    mode: str = field(
        default="full", metadata={"help": "`full` trains all weights, `head` only the classifier on a frozen decoder."}
    )
    labelled_subword: str = field(
        default="first",
        metadata={"help": "Sub-word with the label of its word: `first` (usual) or `last` (has read the whole word)."},
    )
    tag_decoding: str = field(
        default="argmax",
        metadata={"help": "`argmax` of each word (as in the paper) or `iob2`, the most probable valid sequence."},
    )
    cache_features: bool = field(
        default=True,
        metadata={"help": "In mode head, encode each sentence once, not once an epoch (same result, faster)."},
    )
    early_stopping_patience: int = field(
        default=3,
        metadata={"help": "Stop after so many epochs without a better validation F1, counted from the first F1 > 0."},
    )
    learning_rate: float = field(default=3e-5, metadata={"help": "Peak learning rate of AdamW."})
    num_train_epochs: float = field(default=10, metadata={"help": "Maximum number of epochs."})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Sentences per batch on each process."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentences per evaluation batch."})

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("labelled_subword", self.labelled_subword, SUBWORDS)
        check_choice("tag_decoding", self.tag_decoding, DECODINGS)
        check_at_least(1, early_stopping_patience=self.early_stopping_patience)
        refuse_token(self.hub_token)
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False
