"""Query accuracy on tasks and on classes that training did not have, and on those that it had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..meta.adaptation import Adaptation, adaptation_table, heads_to_adapt, query_outcomes, summarise
from ..meta.episode_config import EpisodeConfig
from ..meta.episode_model import EpisodeModel
from ..meta.inner_loop import MetaHead
from .hold_out import Classes, trained_classes
from .sampling import TaskEpisode, sample_task_episode
from .table import TaskTable

HELD_OUT_TASKS, HELD_OUT_CLASSES, TRAINING_CLASSES = "held_out_tasks", "held_out_classes", "training_classes"
# What each group of classes is, for readers.
GROUPS = {
    HELD_OUT_TASKS: "held-out tasks, none of whose classes was in a training episode",
    HELD_OUT_CLASSES: "held-out classes of tasks that training had",
    TRAINING_CLASSES: "classes of training episodes; in the run's own files their texts are those of training",
}


@dataclass(frozen=True)
class TaskAdaptation:
    """Query accuracies on one group of classes; the intervals are over classes and texts."""

    group: str  #: one of GROUPS
    adaptation: Adaptation
    #: of each task its N, and the accuracies of prototypes, of a fresh head and of the trained one before and after
    tasks: dict[str, dict[str, float]]

    def figures(self) -> dict[str, Any]:
        """Everything as a dictionary."""
        figures = self.adaptation.figures()
        for name, other in (("words_available", "classes_available"), ("words", "classes"), ("documents", "texts")):
            figures[other] = figures.pop(name)
        return {"group": self.group, **figures, "tasks": self.tasks}


def groups_of(table: TaskTable, trained: Mapping[str, list[str]]) -> dict[str, TaskTable]:
    """Divide the classes of a table by what training episodes had: `trained`, by task."""
    classes = table.classes()
    new: Classes = {task: labels for task, labels in classes.items() if task not in trained}
    known = {task: labels for task, labels in classes.items() if task in trained}
    return {
        HELD_OUT_TASKS: table.select(new),
        HELD_OUT_CLASSES: table.select({t: [c for c in known[t] if c not in trained[t]] for t in known}),
        TRAINING_CLASSES: table.select({t: [c for c in known[t] if c in trained[t]] for t in known}),
    }


def evaluate_tasks(
    model: EpisodeModel,
    table: TaskTable,
    config: EpisodeConfig,
    episodes: int,
    seed: int = 0,
    trained_head: bool = True,
) -> list[TaskAdaptation]:
    """Adapt heads to episodes of each group of classes that has tasks, and leave the model unchanged.

    Args:
        model: its configuration records the classes of training episodes.
        table: the tasks.
        config, seed, trained_head: see `evaluate_adaptation`; a task of fewer classes gives fewer ways.
        episodes: of each group, each of a task drawn at random.

    Raises:
        InputError: no group has a task with two classes of K + Q different texts.
    """
    examples, trained = config.k_shot + config.n_query, trained_classes(model.config.to_dict())
    groups = {name: group.with_examples(examples) for name, group in groups_of(table, trained).items()}
    if not any(group.tasks for group in groups.values()):
        raise InputError(
            f"no task of task_files has two classes, of training or not, with k_shot + n_query = {examples} different "
            "texts: lower k_shot or n_query, or give more texts"
        )
    heads = heads_to_adapt(model, config, seed, trained_head)
    return [
        _of_group(model, name, group, heads, config, episodes, seed) for name, group in groups.items() if group.tasks
    ]


def _of_group(
    model: EpisodeModel,
    name: str,
    table: TaskTable,
    heads: dict[str, MetaHead],
    config: EpisodeConfig,
    episodes: int,
    seed: int,
) -> TaskAdaptation:
    def draw(generator: torch.Generator) -> TaskEpisode:
        return sample_task_episode(table, config.n_way, config.k_shot, config.n_query, generator)

    outcomes = query_outcomes(model, heads, draw, config, episodes, seed)
    steps = config.inner_loop().steps_taken()
    rows = {"prototypes": 2, "fresh": 3 + steps}
    if "trained" in heads:
        rows |= {"before": 4 + steps, "after": 4 + 2 * steps}
    available, chances, tasks = 0, np.zeros(outcomes.shape[1]), {}
    for task in table.tasks:
        ways = min(config.n_way, len(task.classes))
        own = np.isin(outcomes[0], [each.number for each in task.classes])
        available += len(task.classes)
        chances[own] = 1 / ways
        if own.any():
            accuracies = {row: float(outcomes[place, own].mean()) for row, place in rows.items()}
            tasks[task.name] = {"n_way": ways, "queries": int(own.sum()), **accuracies}
    adaptation = summarise(outcomes, heads, config, episodes, available, float(chances.mean()))
    return TaskAdaptation(name, adaptation, tasks)


def task_text(result: TaskAdaptation) -> str:
    """Format the accuracies of a group as a table, and those of each task as a line."""
    lines = [f"\nQuery accuracy on {GROUPS[result.group]}", adaptation_table([result.adaptation])]
    for name, scores in result.tasks.items():
        accuracies = [
            f"{label} {scores[key]:.1%}"
            for key, label in (
                ("prototypes", "prototypes"),
                ("fresh", "fresh head"),
                ("before", "trained head before"),
                ("after", "after"),
            )
            if key in scores
        ]
        lines.append(f"  {name}: {scores['n_way']}-way, {', '.join(accuracies)}")
    return "\n".join(lines)
