"""Arguments of a pretraining run: resuming, final evaluation and what it prints."""

from dataclasses import dataclass, field

from ...trainers import InputError
from ...trainers.checks import check_choice


@dataclass
class RunArguments:
    """Arguments of the run."""

    resume: bool = field(default=False, metadata={"help": "Go on from the newest checkpoint in output_dir."})
    resume_from: str | None = field(
        default=None,
        metadata={
            "help": "Go on in an empty output_dir from a training state on the Hub: user/name@state-step-N, or `hub`, "
            "the newest in publish_to."
        },
    )
    eval_episodes: int = field(
        default=100, metadata={"help": "Held-out episodes to run before and after training (0: none)."}
    )

    console: str = field(
        default="bar",
        metadata={
            "help": "What the run prints: a progress `bar`, nothing (`quiet`), or each log as a line of `json`."
        },
    )

    def __post_init__(self) -> None:
        check_choice("console", self.console, ("bar", "quiet", "json"))
        if self.eval_episodes < 0:
            raise InputError(f"eval_episodes must be at least 0, got {self.eval_episodes}")
