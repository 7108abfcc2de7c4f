"""Draw an episode from labelled tasks. A pure function, no model."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..episodes import Episode, Examples
from ..episodes.occurrences import first_of_each
from ..meta.episode_loss import Metrics
from .table import TaskClass, TaskTable

# Metrics of task episodes have their names after it.
PREFIX = "task_"


@dataclass(frozen=True, kw_only=True)
class TaskEpisode(Episode):
    """An episode whose classes are those of a task; `words` holds their numbers in the table."""

    task: str  #: its name
    labels: tuple[str, ...]  #: names of the N classes

    def metrics(self, metrics: Metrics) -> Metrics:
        """Return the metrics under their own names, with the accuracy of a guess: 1 / N."""
        named = {f"{PREFIX}{name}": pair for name, pair in metrics.items()}
        return named | {f"{PREFIX}chance": (torch.tensor(1 / len(self.labels)), 1)}


def sample_task_episode(
    table: TaskTable, ways: int, shots: int, queries: int, generator: torch.Generator
) -> TaskEpisode:
    """Draw a task, each with the same chance, and an episode of it; the examples of a class are of different texts.

    Args:
        table: its classes have K + Q texts (see `TaskTable.with_examples`).
        ways: N, classes; a task with fewer gives an episode of all its classes.
        shots: K, support texts of a class.
        queries: Q, query texts of a class.
        generator: a CPU generator; the same state gives the same episode.
    """
    task = table.tasks[int(torch.randint(len(table.tasks), (), generator=generator))]
    order = torch.randperm(len(task.classes), generator=generator)[:ways]
    classes = [task.classes[i] for i in order.tolist()]
    rows = torch.stack([_draw(table, each, shots + queries, generator) for each in classes])
    return TaskEpisode(
        support=_examples(table, rows[:, :shots]),
        query=_examples(table, rows[:, shots:]),
        words=torch.tensor([each.number for each in classes]),
        ways=len(classes),
        task=task.name,
        labels=tuple(each.label for each in classes),
    )


def _draw(table: TaskTable, each: TaskClass, count: int, generator: torch.Generator) -> Tensor:
    """Draw rows (count,) of a class, of different texts."""
    shuffled = each.rows[torch.randperm(len(each.rows), generator=generator)]
    return shuffled[first_of_each(table.texts[shuffled])][:count]


def _examples(table: TaskTable, rows: Tensor) -> Examples:
    """Return the examples of rows (N, K) of the table."""
    flat = rows.reshape(-1)
    return Examples(
        table.ids[flat].long(),
        torch.arange(len(flat)),
        table.lengths[flat] - 1,
        torch.arange(len(rows)).repeat_interleave(rows.shape[1]),
        table.texts[flat],
    )
