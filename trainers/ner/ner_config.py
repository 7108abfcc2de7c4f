"""The arguments of fine-tuning for named entity recognition."""

from dataclasses import dataclass

from transformers import TrainingArguments
from transformers.hf_argparser import HfArg

from ..checks import check_at_least, check_choice
from ..runs.safety.safety_config import refuse_token
from .alignment import SUBWORDS
from .decoding import DECODINGS

MODES = ("head", "full")


@dataclass
class NERConfig(TrainingArguments):
    """Fine-tuning for NER. Learning rate and epochs are the paper's (3.4); batch size and patience are ours."""

    mode: str = HfArg(default="full", help="`full` trains all weights, `head` the classifier on a frozen decoder.")
    labelled_subword: str = HfArg(
        default="first",
        help="Labelled sub-word of each word, `first` or `last`. The last one has read the whole word.",
    )
    tag_decoding: str = HfArg(
        default="argmax",
        help="`argmax` of each word (the paper's) or `iob2`. `iob2` is the most probable valid sequence.",
    )
    cache_features: bool = HfArg(
        default=True, help="In mode head, encode each sentence once. Otherwise once an epoch: slower, same result."
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
        check_choice("labelled_subword", self.labelled_subword, SUBWORDS)
        check_choice("tag_decoding", self.tag_decoding, DECODINGS)
        check_at_least(1, early_stopping_patience=self.early_stopping_patience)
        refuse_token(self.hub_token)
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False
