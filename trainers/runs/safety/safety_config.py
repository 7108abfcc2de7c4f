"""Arguments of `SafeTrainer`."""

from dataclasses import dataclass

from transformers import TrainingArguments
from transformers.hf_argparser import HfArg

from ...checks import check_at_least
from ...errors import InputError
from ...setup_checks import check_numbers


@dataclass
class SafetyConfig(TrainingArguments):
    """When to skip an update or stop; extends `TrainingArguments`, and raises InputError for a wrong value."""

    max_skipped_updates: int = HfArg(
        default=10, help="Skipped updates in a row (loss or gradient not finite, or a spike) that stop the run."
    )
    loss_spike: float = HfArg(
        default=0.0,
        help="Standard deviations above its running mean at which a step's next-token loss is a spike, whose "
        "update is skipped (0: never; 6 is careful).",
    )
    restore_callback_states_from_checkpoint: bool = HfArg(
        default=True, help="Restore the counts of callbacks such as early stopping on resume."
    )

    def __post_init__(self) -> None:
        check_at_least(1, max_skipped_updates=self.max_skipped_updates)
        check_at_least(0, loss_spike=self.loss_spike, learning_rate=self.learning_rate)
        if self.loss_spike == float("inf"):
            raise InputError("loss_spike must be finite, got inf: give 0 to skip no update")
        if self.save_steps <= 0:
            raise InputError(
                f"save_steps must be above 0, got {self.save_steps}: give --save_strategy no to save nothing"
            )
        if self.max_steps == 0:
            raise InputError("max_steps is 0: give a number of steps, or -1 to train for num_train_epochs")
        if self.ignore_data_skip:
            raise InputError("ignore_data_skip would repeat text after a resume: leave it false")
        check_numbers(self)
        refuse_token(self.hub_token)
        super().__post_init__()


def refuse_token(token: str | None) -> None:
    """Raise InputError if a Hub token was given as an argument, which all users of the machine can read."""
    if token is not None:
        raise InputError(
            "hub_token would be visible in the process list and in files: set HF_TOKEN, or run `hf auth login`"
        )
