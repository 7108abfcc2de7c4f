"""Arguments of `MAMLTrainer`: transformers' `TrainingArguments` and what the episodes need."""

from dataclasses import dataclass, field

from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType

from .episode_config import EpisodeConfig
from .errors import InputError


@dataclass
class MAMLConfig(EpisodeConfig, TrainingArguments):
    """Arguments of hybrid pretraining. Every field of `EpisodeConfig` and `TrainingArguments` is there too.

    Raises:
        InputError: a value that makes no sense (names the field, the value and the rule).
    """

    hybrid_ratio: float = field(
        default=0.5, metadata={"help": "Probability that a micro-batch is an episode; 0 is vanilla pretraining."}
    )
    episode_pool: int = field(
        default=64, metadata={"help": "Latest blocks that episodes are drawn from, over all processes."}
    )
    head_layers: int = field(default=4, metadata={"help": "Linear layers of the episodes' head."})
    head_hidden_dim: int = field(default=128, metadata={"help": "Width between the head's layers."})
    head_dropout: float = field(default=0.1, metadata={"help": "Dropout between the head's layers (0: none)."})

    # Defaults of the paper, or of the method, where they differ from transformers'.
    learning_rate: float = field(default=3e-4, metadata={"help": "Peak learning rate of AdamW (paper, 3.3)."})
    lr_scheduler_type: SchedulerType | str = field(
        default="cosine", metadata={"help": "Schedule: cosine (paper, 3.3), linear (paper, Table 10) and others."}
    )
    dataloader_drop_last: bool = field(
        default=True, metadata={"help": "Drop the last, smaller batch of an epoch, so that all shapes are the same."}
    )
    ddp_find_unused_parameters: bool | None = field(
        default=True, metadata={"help": "An episode leaves the LM head without gradient, and the other way round."}
    )
    report_to: None | str | list[str] = field(  # noqa: RUF036 (transformers' parser goes by the order)
        default="none",
        metadata={"help": "Trackers besides metrics.jsonl: wandb, tensorboard, trackio; commas between."},
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide NaN losses from the logs."})

    def __post_init__(self) -> None:
        EpisodeConfig.__post_init__(self)
        if not 0 <= self.hybrid_ratio <= 1:
            raise InputError(f"hybrid_ratio must be between 0 and 1, got {self.hybrid_ratio}")
        if not 0 <= self.head_dropout < 1:
            raise InputError(f"head_dropout must be at least 0 and below 1, got {self.head_dropout}")
        if self.label_smoothing_factor != 0:
            raise InputError("label_smoothing_factor is not supported, both losses are plain: leave it 0")
        counts = ("episode_pool", "head_layers", "head_hidden_dim", "gradient_accumulation_steps")
        for name in (*counts, "per_device_train_batch_size", "per_device_eval_batch_size"):
            if self.__dict__[name] < 1:
                raise InputError(f"{name} must be at least 1, got {self.__dict__[name]}")
        if isinstance(self.report_to, str) and "," in self.report_to:
            self.report_to = self.report_to.split(",")  # transformers' command line takes a single name
        TrainingArguments.__post_init__(self)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False
