"""Which tasks and classes training episodes have, and which are held out to evaluate on."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any

from ..errors import InputError
from .config import TaskConfig
from .files import Labelled

# Classes of each task by name.
Classes = dict[str, list[str]]
# Key of the classes that training had, in the record of a checkpoint's episodes.
TRAINED = "task_classes"
# A class needs another one to be told from.
FEWEST = 2


def count_texts(rows: Iterable[Labelled]) -> dict[str, dict[str, int]]:
    """Return how many different texts each class of each task has; entities of one sentence are of one text."""
    texts: dict[str, dict[str, set]] = {}
    for row in rows:
        texts.setdefault(row.task, {}).setdefault(row.label, set()).add(row.text)
    return {task: {label: len(found) for label, found in classes.items()} for task, classes in texts.items()}


def training_classes(counts: Mapping[str, Mapping[str, int]], args: TaskConfig, examples: int) -> Classes:
    """Return the classes of training episodes: those that are not held out and have `examples` texts, K + Q.

    Raises:
        InputError: an unknown or single task, nothing to hold out or nothing left, or a task with less than two
            classes to tell apart.
    """
    if single := [task for task, classes in counts.items() if len(classes) < FEWEST]:
        (label,) = counts[single[0]]
        raise InputError(f"task {single[0]!r} has the class {label!r} alone: give it a second one, or remove it")
    held_out = held_out_tasks(list(counts), args.held_out_tasks)
    trained: Classes = {}
    for task in sorted(counts.keys() - held_out):
        labels = without_held_out(task, sorted(counts[task]), args.held_out_task_classes)
        trained[task] = [label for label in labels if counts[task][label] >= examples]
        if len(trained[task]) < FEWEST:
            texts = ", ".join(f"{label} {counts[task][label]}" for label in labels)
            raise InputError(
                f"task {task!r} needs two classes of k_shot + n_query = {examples} different texts for an episode, "
                f"but has {texts}: lower k_shot or n_query, give more texts, or remove the task"
            )
    if not trained:
        raise InputError(f"held_out_tasks holds out all {len(counts)} tasks: leave one to train on")
    if args.held_out_task_classes and all(len(counts[task]) < 2 * FEWEST for task in trained):
        raise InputError(
            f"held_out_task_classes {args.held_out_task_classes} has no effect: no task has the {2 * FEWEST} classes "
            "of which two can be held out and two left"
        )
    return trained


def held_out_tasks(tasks: Sequence[str], wanted: Sequence[str]) -> set[str]:
    """Return the tasks that are named, or those that a share of them means: at least one and not all."""
    if len(wanted) == 1 and wanted[0] not in tasks and (share := _number(wanted[0])) is not None:
        if not 0 < share < 1:
            raise InputError(f"held_out_tasks must be names of tasks or a share between 0 and 1, got {wanted[0]}")
        if len(tasks) < 2:
            raise InputError(f"held_out_tasks {wanted[0]}: there is only the task {tasks[0]!r}, and one must be left")
        return set(by_hash(tasks, "")[: min(max(round(share * len(tasks)), 1), len(tasks) - 1)])
    for name in wanted:
        if name not in tasks:
            near = ", ".join(get_close_matches(name, tasks) or sorted(tasks)[:8])
            raise InputError(f"held_out_tasks: no task {name!r} in task_files: there is {near}")
    return set(wanted)


def without_held_out(task: str, labels: Sequence[str], share: float) -> list[str]:
    """Return the classes that stay in training: of four or more at least two are held out, and two stay."""
    if share == 0 or len(labels) < 2 * FEWEST:
        return list(labels)
    count = min(max(round(share * len(labels)), FEWEST), len(labels) - FEWEST)
    held_out = set(by_hash(labels, task)[:count])
    return [label for label in labels if label not in held_out]


def trained_classes(config: Mapping[str, Any]) -> Classes:
    """Return the classes of training episodes that the configuration of a model records; empty if there were none."""
    return (config.get("episode") or {}).get(TRAINED, {})


def merged(classes: Classes, others: Classes) -> Classes:
    """Return the classes of both."""
    tasks = sorted(classes.keys() | others.keys())
    return {task: sorted({*classes.get(task, ()), *others.get(task, ())}) for task in tasks}


def by_hash(names: Iterable[str], salt: str) -> list[str]:
    """Sort names in an order that depends on nothing but them and `salt`."""
    return sorted(names, key=lambda name: blake2b(f"{salt}\0{name}".encode(errors="surrogatepass")).digest())


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
