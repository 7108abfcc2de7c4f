"""Measure how well a model adapts to labelled tasks of the user's files."""

from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ...trainers import InputError
from ...trainers.loading import most_tokens
from ...trainers.meta import EpisodeModel
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.tasks.adaptation import evaluate_tasks, task_text
from ...trainers.tasks.config import TaskConfig
from ...trainers.tasks.files import read_tasks
from ...trainers.tasks.table import TaskTable
from .arguments import EvaluateArguments


def load_tasks(
    args: EvaluateArguments, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> TaskTable | None:
    """The labelled tasks to measure on, None without `task_files`; InputError if they do not fit the model."""
    if not args.task_files:
        return None
    longest = most_tokens(config)
    default = int(min(TaskConfig.task_window, longest))
    window = args.task_window or (config.to_dict().get("episode") or {}).get("task_window", default)
    if window > longest:
        raise InputError(f"task_window is {window}, but the model reads {longest} tokens: lower it")
    return TaskTable.from_rows(read_tasks(args.task_files), tokenizer, window)


def measure_tasks(
    args: EvaluateArguments,
    model: EpisodeModel,
    tasks: TaskTable,
    shapes: list[EpisodeConfig],
    trained_head: bool,
) -> list[dict[str, Any]]:
    """Measure and print the accuracy of adaptation to tasks and classes that training had, and had not."""
    measured = []
    for shape in shapes:
        measured += evaluate_tasks(model, tasks, shape, args.episodes, args.seed, trained_head)
    for each in measured:
        print(task_text(each))
    return [each.figures() for each in measured]
