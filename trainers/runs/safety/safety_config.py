"""Arguments of `SafeTrainer`."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from ...errors import InputError


@dataclass
class SafetyConfig(TrainingArguments):
    """transformers' `TrainingArguments` and when a run has to skip or stop.

    Raises:
        InputError: a value that makes no sense, or that would make a resume inexact or a token public.
    """

    max_skipped_updates: int = field(
        default=10,
        metadata={"help": "Updates skipped in a row (loss or gradient not finite, or a spike) at which a run stops."},
    )
    loss_spike: float = field(
        default=0.0,
        metadata={
            "help": "Standard deviations above its running mean from which a step's next-token loss is a spike, whose "
            "update is skipped (0: never; 6 is careful)."
        },
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "On resume, callbacks such as early stopping go on counting."}
    )

    def __post_init__(self) -> None:
        if self.max_skipped_updates < 1:
            raise InputError(f"max_skipped_updates must be at least 1, got {self.max_skipped_updates}")
        if not 0 <= self.loss_spike < float("inf"):
            raise InputError(f"loss_spike must be at least 0, got {self.loss_spike}")
        if self.learning_rate < 0:
            raise InputError(f"learning_rate must be at least 0, got {self.learning_rate}")
        if self.save_steps <= 0:
            raise InputError(
                f"save_steps must be above 0, got {self.save_steps}: set save_strategy no to save nothing"
            )
        if self.max_steps == 0:
            raise InputError("max_steps is 0, which trains nothing: give a number of steps, or -1 to go by epochs")
        if self.ignore_data_skip:
            raise InputError("ignore_data_skip would train on the same text again after a resume: leave it false")
        refuse_token(self.hub_token)
        super().__post_init__()


def refuse_token(token: str | None) -> None:
    """Take no token as an argument: command lines can be read by everybody on a machine.

    Raises:
        InputError: one was given (and is not repeated).
    """
    if token is not None:
        raise InputError(
            "hub_token would stand in the process list and in files: set HF_TOKEN, or run `hf auth login`"
        )
