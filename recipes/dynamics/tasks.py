"""Arguments of scores: which tasks each checkpoint of a series is scored on."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase
from transformers.hf_argparser import HfArg

from ...trainers import InputError
from ...trainers.checks import check_at_least
from .harness import HarnessTask, harness_tasks
from .minimal_pairs import MinimalPairs

Task = MinimalPairs | HarnessTask
PAIRS, HARNESS = (".jsonl",), (".yaml", ".yml")


@dataclass
class TaskArguments:
    """Arguments of scores on tasks."""

    tasks: list[str] = HfArg(
        default_factory=list,
        help="Score on minimal pairs (.jsonl) and tasks of lm-evaluation-harness. A task of it is given by its "
        "name, or by its .yaml file.",
    )
    task_limit: int | None = HfArg(
        default=None, help="Examples of each task, or pairs of each group, at most (unset: all)."
    )
    task_batch_size: int = HfArg(default=32, help="Sentences or requests of a forward pass for tasks.")

    def __post_init__(self) -> None:
        check_at_least(1, task_batch_size=self.task_batch_size)
        if self.task_limit is not None:
            check_at_least(1, task_limit=self.task_limit)
        names = [task_name(task) for task in self.tasks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"two tasks are named {twice[0]!r}: name it once, or rename a file")
        for task in self.tasks:
            if Path(task).is_file() and task_name(task) == task:
                raise InputError(
                    f"tasks: {task} is neither minimal pairs (.jsonl) nor a task (.yaml): rename the file"
                )

    def load(self, tokenizer: PreTrainedTokenizerBase) -> list[Task]:
        """Load the tasks; raise InputError for one that cannot be loaded."""
        pairs = [task for task in self.tasks if Path(task).suffix in PAIRS]
        others = {task_name(task): task for task in self.tasks if task not in pairs}
        return [
            *(MinimalPairs(task_name(path), Path(path), tokenizer, self.task_limit) for path in pairs),
            *(harness_tasks(others, tokenizer, self.task_limit) if others else ()),
        ]


def task_name(task: str) -> str:
    """The name of a task: its own, or that of its file without the ending."""
    return Path(task).stem if Path(task).suffix in PAIRS + HARNESS else task
