"""Tasks of lm-evaluation-harness as scores of a checkpoint."""

import json
import logging
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ...callbacks import Row
from ...trainers import InputError
from ...trainers.corpus import check_vocabulary
from ...trainers.runs.learning_dynamics import STANDARD_ERROR

# Draws for standard errors that have no formula. The harness's own 100,000 take longer than a small model's answers.
BOOTSTRAP = 1000
# The harness's own seed of few-shot examples.
SEED = 1234


class HarnessTask:
    """A task or a group of tasks of lm-evaluation-harness, with its examples loaded once for all checkpoints.

    Args:
        name: of the task in the record of scores.
        task: its name in the harness, or the path of its YAML file.
        manager: the harness's `TaskManager`.
        tokenizer: reads the requests.
        limit: examples of each task at most; None for all.

    Raises:
        InputError: there is no such task, or its examples cannot be loaded.
    """

    def __init__(
        self, name: str, task: str, manager: Any, tokenizer: PreTrainedTokenizerBase, limit: int | None
    ) -> None:
        self.name, self.manager, self.tokenizer, self.limit = name, manager, tokenizer, limit
        if task != name and not Path(task).is_file():
            raise InputError(f"tasks: there is no file {task}: name a task's .yaml file, or a task of the harness")
        if task == name and name not in manager.all_tasks:
            near = get_close_matches(name, manager.all_tasks, 1)
            hint = f"did you mean {near[0]}?" if near else "`lm_eval ls tasks` lists them"
            raise InputError(f"tasks: lm-evaluation-harness has no task {name!r}: {hint}")
        try:
            loaded = manager.load([task])
            self.content = content_of(loaded["tasks"].values(), limit)
        except Exception as error:  # data sets and code of any kind
            raise InputError(f"tasks: {task!r} cannot be loaded: {reason_of(error)}") from error
        # A group comes before the groups inside it, and holds its tasks.
        self.loaded = list(loaded["groups"].values())[:1] or list(loaded["tasks"].values())

    def check(self, config: PretrainedConfig) -> None:
        """Raise InputError if a model lacks tokens of the tokenizer."""
        check_vocabulary(self.tokenizer, config.vocab_size)

    def rows(self, model: PreTrainedModel, batch_size: int) -> list[Row]:
        """Score the model: `task_METRIC` and its standard error, of each task and group, by their names.

        Raises InputError if the harness fails.
        """
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        log = logging.getLogger(HFLM.__module__)
        level = log.level
        log.setLevel(logging.ERROR)  # it warns that a model in memory is not a name
        try:
            harness = HFLM(pretrained=model, backend="causal", tokenizer=self.tokenizer, batch_size=batch_size)
        finally:
            log.setLevel(level)
        try:
            scores = simple_evaluate(
                model=harness,
                tasks=self.loaded,
                task_manager=self.manager,
                limit=self.limit,
                bootstrap_iters=BOOTSTRAP,
                fewshot_random_seed=SEED,
                log_samples=False,
            )
        except Exception as error:  # code of any kind
            raise InputError(f"tasks: {self.name!r} failed in lm-evaluation-harness: {reason_of(error)}") from error
        rows = [row for task, metrics in scores["results"].items() for row in rows_of(task, metrics)]
        if not rows:
            raise InputError(f"tasks: {self.name!r} has no metric that is a number: leave it out")
        return rows


def harness_tasks(tasks: dict[str, str], tokenizer: PreTrainedTokenizerBase, limit: int | None) -> list[HarnessTask]:
    """Load tasks by their names; raise InputError if the harness is not installed, or a task cannot be loaded."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InputError(
            f"tasks: {next(iter(tasks.values()))} needs lm-evaluation-harness: pip install 'pico-maml[lm-eval]', or "
            "name a file of minimal pairs (.jsonl)"
        ) from error
    # The index of all its tasks takes half a minute.
    manager = TaskManager(include_defaults=any(name == task for name, task in tasks.items()))
    return [HarnessTask(name, task, manager, tokenizer, limit) for name, task in tasks.items()]


def content_of(tasks: Any, limit: int | None) -> str:
    """The number of examples of tasks, and a hash of their versions, requests and answers."""
    digest, examples = blake2b(digest_size=8), 0
    for task in tasks:
        task.set_fewshot_seed(seed=SEED)
        task.build_all_requests(limit=limit)
        digest.update(f"{task.task_name} {task.VERSION}".encode())
        for request in task.instances:
            digest.update(json.dumps([request.request_type, request.args, request.doc], default=str).encode())
        examples += len({request.doc_id for request in task.instances})
    return f"{examples} examples {digest.hexdigest()}"


def rows_of(task: str, metrics: dict[str, Any]) -> list[Row]:
    """The rows of a task's metrics, which the harness names `METRIC,FILTER` and `METRIC_stderr,FILTER`."""
    rows = []
    for key, value in metrics.items():
        name, comma, chosen = key.partition(",")
        if not comma or not isinstance(value, int | float):  # names, counts, and N/A
            continue
        metric = name.removesuffix("_stderr")
        quantity = f"task_{metric}{STANDARD_ERROR if name != metric else ''}"
        rows.append(Row(quantity, float(value), source=task if chosen == "none" else f"{task}/{chosen}"))
    return rows


def reason_of(error: Exception) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
