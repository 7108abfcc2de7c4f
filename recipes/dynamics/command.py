"""Measure the learning dynamics of any series of checkpoints, one checkpoint in memory at a time.

python -m pico_maml.recipes.dynamics --model runs/demo --output_dir runs/demo-dynamics
python -m pico_maml.recipes.dynamics --model EleutherAI/pythia-70m --revisions step0 step1000 step143000 \
    --dynamics_modules attention.dense mlp.dense_4h_to_h --output_dir runs/pythia-70m --keep_downloads false
python -m pico_maml.recipes.dynamics --model runs/demo --output_dir runs/demo-dynamics --tasks pairs.jsonl blimp
"""

from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from ...callbacks import Dynamics, DynamicsFile, Row, Source, measure_source, perplexity_rows
from ...callbacks.measures import QueryObjective
from ...trainers import InputError
from ...trainers.checks import check_at_least
from ...trainers.corpus import model_tokenizer
from ...trainers.runs.files import ARGUMENTS_FILE, DYNAMICS_FILE, REFERENCE_FILE
from ...trainers.runs.folder import check_free_or_same, claimed
from ...trainers.runs.json_files import write_json
from ..arguments.corpus import CorpusArguments, check_fits
from ..arguments.dynamics import MeasureArguments
from ..arguments.parser import parse
from ..arguments.training_text import (
    RELATIONS,
    UNKNOWN,
    MeasuredText,
    arguments_of_run,
    held_out_documents,
    measured_text,
)
from .checkpoint_series import Checkpoint, SeriesArguments
from .tasks import Task, TaskArguments

SPECTRA_FOLDER = "spectra"
# Arguments that may differ when more checkpoints are measured.
FREE = {"revisions", "subfolders", "steps", "keep_downloads", "batch_size", "output_dir", "text"}
# What a task was scored on is compared by its examples, in `Series.check_content`.
FREE |= {"tasks", "task_limit", "task_batch_size"}


@dataclass
class OutputArguments:
    """Arguments of the output."""

    output_dir: str = HfArg(help="Folder for the curves. The same command continues a series that was interrupted.")
    batch_size: int = HfArg(default=8, help="Blocks of a forward pass for perplexity (0: do not measure it).")

    def __post_init__(self) -> None:
        check_at_least(0, batch_size=self.batch_size)


TYPES = (SeriesArguments, CorpusArguments, MeasureArguments, TaskArguments, OutputArguments)


def main(argv: list[str] | None = None) -> list[int]:
    """Run the command; returns the steps it measured."""
    parsed = parse(TYPES, argv, prog="dynamics", defaults=defaults)
    logging.disable_progress_bar()
    with claimed(Path(parsed[-1].output_dir)):
        return measure_series(*parsed)


def measure_series(
    args: SeriesArguments,
    corpus: CorpusArguments,
    measures: MeasureArguments,
    task_args: TaskArguments,
    output_args: OutputArguments,
) -> list[int]:
    """Measure and score the checkpoints as far as the folder does not have them yet; returns their steps."""
    output = Path(output_args.output_dir)
    arguments = {**asdict(args), **asdict(corpus), **asdict(measures), **asdict(task_args), **asdict(output_args)}
    check_free_or_same(output, arguments, FREE)
    checkpoints = args.reference_first(args.checkpoints())
    text = text_of_series(corpus, checkpoints)
    own = checkpoints[0]
    tokenizer = model_tokenizer(own.path, own.revision, args.tokenizer)
    tasks = task_args.load(tokenizer)
    documents = held_out_documents(corpus)
    texts = {"": corpus.held_out(documents, tokenizer), **corpus.sources(tokenizer, documents)}

    print(f"text: {text}", flush=True)
    series = Series(output, measures, texts, output_args.batch_size, tokenizer)
    series.check_content(tasks)
    todo = [checkpoint for checkpoint in checkpoints if series.lacks(checkpoint.step, tasks)]
    for checkpoint in todo:
        step, tokens = checkpoint.step, checkpoint.step * args.tokens_per_step
        with checkpoint.loaded(args.keep_downloads) as model:
            for source in texts.values():
                check_fits(model.config, source.blocks, checkpoint.name)
            for task in tasks:
                task.check(model.config)
            write_json(output / ARGUMENTS_FILE, arguments | {"text": asdict(text)})
            rows = [] if step in series.done else series.measure(model, step, tokens)
            scores = {
                task.name: series.score(model, step, tokens, task, task_args.task_batch_size)
                for task in series.unscored(step, tasks)
            }
        print(summary(checkpoint, rows, scores), flush=True)
    print(f"{len(todo)} measured, {len(checkpoints) - len(todo)} measured before: {series.file.path}")
    return [checkpoint.step for checkpoint in todo]


def defaults(given: set[str], values: Namespace) -> dict[str, Any]:
    """Values of arguments that are not given: corpus and split of the run that saved the first checkpoint."""
    revision, subfolder = next(iter(values.revisions), None), next(iter(values.subfolders), "")
    return arguments_of_run(given, values, values.model, revision, subfolder)


def text_of_series(corpus: CorpusArguments, checkpoints: list[Checkpoint]) -> MeasuredText:
    """What is known of the text for all checkpoints; raise InputError if one was trained on part of it."""
    texts = []
    for it in checkpoints:
        texts.append(measured_text(corpus, it.path, it.revision, it.subfolder))
        if texts[-1].relation == UNKNOWN:  # a long series of another package needs no further look
            break
    return max(texts, key=lambda text: RELATIONS.index(text.relation))


class Series:
    """The measurements of a series, in a folder that grows by one checkpoint at a time.

    `texts` holds held-out text by source; the first blocks of `""` are the probe.
    """

    def __init__(
        self,
        output: Path,
        measures: MeasureArguments,
        texts: dict[str, Source],
        batch_size: int,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self.output, self.measures, self.texts, self.batch_size = output, measures, texts, batch_size
        self.tokenizer = tokenizer
        self.file = DynamicsFile(output / DYNAMICS_FILE)
        self.done, self.scored = self.file.measured(), self.file.scored()
        steps = self.done | {step for step, _ in self.scored}
        self.file.lines.cut_back_to(max(steps, default=0))
        path = output / REFERENCE_FILE
        self.reference: dict[str, Tensor] = load_file(path) if path.exists() else {}

    def check_content(self, tasks: list[Task]) -> None:
        """Raise InputError if a task has other examples than those that a step of the folder was scored on."""
        now = {task.name: task.content for task in tasks}
        for (step, name), content in self.scored.items():
            if now.get(name, content) != content:
                raise InputError(
                    f"tasks: {name} was scored on other examples at step {step} ({content} -> {now[name]}): give the "
                    "earlier ones and task_limit, rename a changed file to score it too, or choose another output_dir"
                )

    def unscored(self, step: int, tasks: list[Task]) -> list[Task]:
        """The tasks that a step has no scores on."""
        return [task for task in tasks if (step, task.name) not in self.scored]

    def lacks(self, step: int, tasks: list[Task]) -> bool:
        """True if a step is not measured, or not scored on one of the tasks."""
        return step not in self.done or bool(self.unscored(step, tasks))

    def score(self, model: PreTrainedModel, step: int, tokens: int, task: Task, batch_size: int) -> list[Row]:
        """Score a checkpoint on a task; its scores are one line of the file, written at once or not at all."""
        rows = task.rows(model, batch_size)
        self.file.append(step, tokens, rows, task=task.name, content=task.content)
        return rows

    def measure(self, model: PreTrainedModel, step: int, tokens: int) -> list[Row]:
        """Measure a checkpoint and save the results; the curves come last, so that a step in them is complete."""
        dynamics = Dynamics(self.file, 1, lambda: tokens, lambda values: None)
        query = QueryObjective.of_model(model, self.tokenizer)
        callbacks = self.measures.callbacks(dynamics, model, self.texts[""], query)
        state = TrainerState(global_step=step)
        rows: list[Row] = []
        spectra: dict[str, Tensor] = {}
        for callback in callbacks:
            if self.reference:
                callback.load_reference(dict(self.reference))
            rows += callback.measure(model, state)
            spectra |= callback.singular_values(step)
        for name, text in self.texts.items() if self.batch_size else ():
            rows += perplexity_rows(measure_source(model, text, self.batch_size), name)
        (self.output / SPECTRA_FOLDER).mkdir(parents=True, exist_ok=True)
        save_file(spectra, self.output / SPECTRA_FOLDER / f"step_{step}.safetensors")
        if not self.reference:
            for callback in callbacks:
                self.reference |= callback.reference()
            save_file(self.reference, self.output / REFERENCE_FILE)
        self.file.append(step, tokens, rows)
        return rows


def summary(checkpoint: Checkpoint, rows: list[Row], scores: dict[str, list[Row]]) -> str:
    """One line with the means of the main quantities of a checkpoint, and the first score on each task."""
    means = []
    for quantity in ("perplexity", "proportional_effective_rank", "attention_entropy_normalised", "cka"):
        if values := [row.value for row in rows if row.quantity == quantity and not row.source]:
            means.append(f"{quantity} {fmean(values):.3f}")
    for task, scored in scores.items():
        first = next((row for row in scored if row.source == task), scored[0])  # of a group before its members
        means.append(f"{task} {first.quantity.removeprefix('task_')} {first.value:.3f}")
    return f"step {checkpoint.step}: {', '.join(means)}"
