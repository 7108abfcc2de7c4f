"""Arguments of episodes from labelled tasks."""

from dataclasses import dataclass

from transformers.hf_argparser import HfArg

from ..checks import check_at_least
from ..errors import InputError


@dataclass
class TaskConfig:
    """Arguments of episodes from tasks, beside those of word episodes, whose ways, shots and queries they share.

    Raises:
        InputError: a value is out of its range, or an argument without `task_files` or `task_share`.
    """

    task_files: list[str] = HfArg(
        default_factory=list,
        help="Files of labelled tasks to draw episodes from, with --task_share. JSON lines of text, label and task, "
        "or entities as IOB2, columns or spans.",
    )
    task_share: float = HfArg(
        default=0.0, help="Share of the episodes that are drawn from task_files (0: none; 1: all)."
    )
    task_window: int = HfArg(default=64, help="Tokens that are read of a text of task_files.")
    held_out_tasks: list[str] = HfArg(
        default_factory=list,
        help="Tasks that are in no training episode, to evaluate on: their names, or a share of the tasks.",
    )
    held_out_task_classes: float = HfArg(
        default=0.0,
        help="Share of the classes of each other task that are in no training episode (0: none). Tasks of less than "
        "four classes keep all.",
    )

    def __post_init__(self) -> None:
        check_at_least(2, task_window=self.task_window)
        for name, value in (("task_share", self.task_share), ("held_out_task_classes", self.held_out_task_classes)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {value}")
        if self.task_files and self.task_share == 0:
            raise InputError(
                "task_share is 0, so no episode would come from task_files: give the share of the episodes that do, "
                "such as --task_share 0.3"
            )
        of_tasks = ("task_share", "held_out_tasks", "held_out_task_classes")
        if not self.task_files and (unused := [name for name in of_tasks if vars(self)[name]]):
            raise InputError(f"{unused[0]} has no effect without task_files: name files of labelled tasks")
