"""Arguments of a pretraining run: resuming, final evaluation and what it prints."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least, check_choice


@dataclass
class RunArguments:
    """Arguments of the run."""

    resume: bool = HfArg(default=False, help="Go on with the run in output_dir, or begin it if there is none.")
    other_corpus: bool = HfArg(
        default=False,
        help="Resume although the files of dataset or eval_dataset changed since the run began.",
    )
    resume_from: str | None = HfArg(
        default=None,
        help="Training state on the Hub to resume from, in a new output_dir (unset: none). "
        "user/name@state-step-N, or `hub`: the newest one in publish_to.",
    )
    branch_from: str | None = HfArg(
        default=None,
        help="RUN/checkpoint-N, which a new run goes on from in a folder of its own (unset: none). "
        "Optimizer and counts are kept; schedule, episodes and corpus may change.",
    )
    eval_episodes: int = HfArg(default=100, help="Held-out episodes to evaluate, before and after training (0: none).")
    console: str = HfArg(default="bar", help="What is printed: `bar` (progress), `json` (each log), or `quiet`.")

    def __post_init__(self) -> None:
        if self.branch_from is not None and self.resume_from is not None:
            raise InputError("branch_from and resume_from both say where the run goes on from: remove one of the two")
        check_choice("console", self.console, ("bar", "quiet", "json"))
        check_at_least(0, eval_episodes=self.eval_episodes)
