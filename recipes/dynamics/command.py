"""Learning dynamics of any checkpoint series, one checkpoint in memory at a time.

python -m pico_maml.recipes.dynamics --model runs/demo --block_size 128 --output_dir runs/demo-dynamics
python -m pico_maml.recipes.dynamics --model EleutherAI/pythia-70m --revisions step0 step1000 step143000 \
    --dynamics_modules attention.dense mlp.dense_4h_to_h --output_dir runs/pythia-70m --keep_downloads false
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, TrainerState
from transformers.utils import logging

from ...callbacks import Dynamics, DynamicsFile, Row, Source, held_out_loss, load_dynamics, perplexity_rows
from ...trainers import InputError
from ...trainers.runs.files import ARGUMENTS_FILE, DYNAMICS_FILE, REFERENCE_FILE
from ...trainers.runs.folder import check_same_arguments
from ...trainers.runs.json_files import read_json, write_json
from ..arguments.corpus import CorpusArguments
from ..arguments.dynamics import MeasureArguments
from ..arguments.parser import parse
from .checkpoint_series import Checkpoint, SeriesArguments

SPECTRA = "spectra"
# What may differ when a series goes on.
FREE = {"revisions", "subfolders", "steps", "keep_downloads", "batch_size", "output_dir"}


@dataclass
class OutputArguments:
    """Arguments of the output."""

    output_dir: str = field(metadata={"help": "Folder for the curves; a series that was cut off goes on there."})
    batch_size: int = field(default=8, metadata={"help": "Blocks of a forward pass for perplexity (0: none)."})

    def __post_init__(self) -> None:
        if self.batch_size < 0:
            raise InputError(f"batch_size must be at least 0, got {self.batch_size}")


TYPES = (SeriesArguments, CorpusArguments, MeasureArguments, OutputArguments)


def main(argv: list[str] | None = None) -> list[int]:
    """Run the recipe; returns the steps it measured."""
    args, corpus, measures, output_args = parse(TYPES, argv, prog="dynamics")
    logging.disable_progress_bar()
    output = Path(output_args.output_dir)
    arguments = {**asdict(args), **asdict(corpus), **asdict(measures), **asdict(output_args)}
    check_same_series(output, arguments)
    checkpoints = args.reference_first(args.checkpoints())
    tokenizer = args.load_tokenizer(checkpoints[0])
    _, documents = corpus.documents()
    blocks = {"": corpus.held_out_blocks(documents, tokenizer), **corpus.source_blocks(tokenizer)}
    texts = {name: Source.from_blocks(ids, tokenizer) for name, ids in blocks.items()}

    series = Series(output, measures, texts, output_args.batch_size)
    todo = [checkpoint for checkpoint in checkpoints if checkpoint.step not in series.done]
    for checkpoint in todo:
        with checkpoint.loaded(args.keep_downloads) as model:
            check_model(model, checkpoint, blocks[""])
            write_json(output / ARGUMENTS_FILE, arguments)
            rows = series.measure(model, checkpoint.step, checkpoint.step * args.tokens_per_step)
        print(summary(checkpoint, rows), flush=True)
    print(f"{len(todo)} measured, {len(checkpoints) - len(todo)} were there already: {series.file.path}")
    return [checkpoint.step for checkpoint in todo]


class Series:
    """The curves of a series, in a folder that grows by one checkpoint at a time.

    Args:
        output: the folder.
        measures: what is measured.
        texts: held-out text by source; of `""` the first blocks are the probe.
        batch_size: blocks of a forward pass for perplexity; 0 for none.
    """

    def __init__(self, output: Path, measures: MeasureArguments, texts: dict[str, Source], batch_size: int) -> None:
        self.output, self.measures, self.texts, self.batch_size = output, measures, texts, batch_size
        self.file = DynamicsFile(output / DYNAMICS_FILE)
        self.done: set[int] = set()
        if self.file.path.exists():
            self.done = set(load_dynamics(output).step)
            self.file.lines.cut_back_to(max(self.done, default=0))
        path = output / REFERENCE_FILE
        self.reference: dict[str, Tensor] = load_file(path) if path.exists() else {}

    def measure(self, model: PreTrainedModel, step: int, tokens: int) -> list[Row]:
        """Measure a checkpoint and write it down: the curves last, so that a step in them is whole."""
        dynamics = Dynamics(self.file, 1, lambda: tokens, lambda values: None)
        callbacks = self.measures.callbacks(dynamics, model, self.texts[""].blocks)
        state = TrainerState(global_step=step)
        rows: list[Row] = []
        spectra: dict[str, Tensor] = {}
        for callback in callbacks:
            callback.load_reference(dict(self.reference))
            rows += callback.measure(model, state)
            spectra |= callback.singular_values(step)
        for name, text in self.texts.items() if self.batch_size else ():
            rows += perplexity_rows(held_out_loss(model, text.blocks, self.batch_size), text.text_bytes, name)
        (self.output / SPECTRA).mkdir(parents=True, exist_ok=True)
        save_file(spectra, self.output / SPECTRA / f"step_{step}.safetensors")
        if not self.reference:
            for callback in callbacks:
                self.reference |= callback.reference()
            save_file(self.reference, self.output / REFERENCE_FILE)
        self.file.append(step, tokens, rows)
        return rows


def check_same_series(output: Path, arguments: dict[str, Any]) -> None:
    """Make sure that a folder holds curves of one series, measured in one way.

    Raises:
        InputError: it holds another one (names the arguments that differ), or something else.
    """
    path = output / ARGUMENTS_FILE
    if not path.exists():
        if output.is_file() or (output.is_dir() and any(output.iterdir())):
            raise InputError(f"{output} is not empty, and holds no curves of a series: choose another output_dir")
        return
    check_same_arguments(output, read_json(path), arguments, FREE, "choose another output_dir")


def check_model(model: PreTrainedModel, checkpoint: Checkpoint, blocks: Tensor) -> None:
    """Make sure that the model can read the text.

    Raises:
        InputError: it cannot.
    """
    if blocks.max() >= model.config.vocab_size:
        raise InputError(
            f"the text holds the token id {blocks.max()}, {checkpoint.name} only {model.config.vocab_size} tokens: "
            "name its own tokenizer with --tokenizer"
        )
    length = model.config.max_position_embeddings
    if blocks.shape[1] - 1 > length:
        raise InputError(f"block_size is {blocks.shape[1] - 1}, {checkpoint.name} reads {length} tokens: lower it")


def summary(checkpoint: Checkpoint, rows: list[Row]) -> str:
    """One line about a checkpoint."""
    shown = {}
    for quantity in ("perplexity", "proportional_effective_rank", "attention_entropy_normalised", "cka"):
        values = [row.value for row in rows if row.quantity == quantity and not row.source]
        if values:
            shown[quantity] = sum(values) / len(values)
    return f"step {checkpoint.step}: " + ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
