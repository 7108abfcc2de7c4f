"""Measure the learning dynamics of any series of checkpoints, one checkpoint in memory at a time.

python -m pico_maml.recipes.dynamics --model runs/demo --output_dir runs/demo-dynamics
python -m pico_maml.recipes.dynamics --model EleutherAI/pythia-70m --revisions step0 step1000 step143000 \
    --dynamics_modules attention.dense mlp.dense_4h_to_h --output_dir runs/pythia-70m --keep_downloads false
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

from ...callbacks import Dynamics, DynamicsFile, Row, Source, load_dynamics, measure_source, perplexity_rows
from ...callbacks.measures import QueryObjective
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

SPECTRA_FOLDER = "spectra"
# Arguments that may differ when more checkpoints are measured.
FREE = {"revisions", "subfolders", "steps", "keep_downloads", "batch_size", "output_dir", "text"}


@dataclass
class OutputArguments:
    """Arguments of the output."""

    output_dir: str = HfArg(help="Folder for the curves. The same command continues a series that was interrupted.")
    batch_size: int = HfArg(default=8, help="Blocks of a forward pass for perplexity (0: do not measure it).")

    def __post_init__(self) -> None:
        check_at_least(0, batch_size=self.batch_size)


TYPES = (SeriesArguments, CorpusArguments, MeasureArguments, OutputArguments)


def main(argv: list[str] | None = None) -> list[int]:
    """Run the command; returns the steps it measured."""
    parsed = parse(TYPES, argv, prog="dynamics", defaults=defaults)
    logging.disable_progress_bar()
    with claimed(Path(parsed[-1].output_dir)):
        return measure_series(*parsed)


def measure_series(
    args: SeriesArguments, corpus: CorpusArguments, measures: MeasureArguments, output_args: OutputArguments
) -> list[int]:
    """Measure the checkpoints that are not in the folder yet; returns their steps."""
    output = Path(output_args.output_dir)
    arguments = {**asdict(args), **asdict(corpus), **asdict(measures), **asdict(output_args)}
    check_free_or_same(output, arguments, FREE)
    checkpoints = args.reference_first(args.checkpoints())
    text = text_of_series(corpus, checkpoints)
    own = checkpoints[0]
    tokenizer = model_tokenizer(own.path, own.revision, args.tokenizer)
    documents = held_out_documents(corpus)
    texts = {"": corpus.held_out(documents, tokenizer), **corpus.sources(tokenizer)}

    print(f"text: {text}", flush=True)
    series = Series(output, measures, texts, output_args.batch_size, tokenizer)
    todo = [checkpoint for checkpoint in checkpoints if checkpoint.step not in series.done]
    for checkpoint in todo:
        with checkpoint.loaded(args.keep_downloads) as model:
            for source in texts.values():
                check_fits(model.config, source.blocks, checkpoint.name)
            write_json(output / ARGUMENTS_FILE, arguments | {"text": asdict(text)})
            rows = series.measure(model, checkpoint.step, checkpoint.step * args.tokens_per_step)
        print(summary(checkpoint, rows), flush=True)
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
        self.done: set[int] = set()
        if self.file.path.exists():
            self.done = set(load_dynamics(output).step)
            self.file.lines.cut_back_to(max(self.done, default=0))
        path = output / REFERENCE_FILE
        self.reference: dict[str, Tensor] = load_file(path) if path.exists() else {}

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


def summary(checkpoint: Checkpoint, rows: list[Row]) -> str:
    """One line with the means of the main quantities of a checkpoint."""
    means = []
    for quantity in ("perplexity", "proportional_effective_rank", "attention_entropy_normalised", "cka"):
        if values := [row.value for row in rows if row.quantity == quantity and not row.source]:
            means.append(f"{quantity} {fmean(values):.3f}")
    return f"step {checkpoint.step}: {', '.join(means)}"
