"""Pretrain a Pico model, or go on with any other, with next-token prediction and MAML episodes.

python -m pico_maml.recipes.pretrain --config demo --output_dir runs/demo
accelerate launch -m pico_maml.recipes.pretrain --config pico-maml-decoder-tiny --output_dir runs/tiny
"""

import sys
from pathlib import Path
from typing import Any

import datasets
from transformers.utils import logging

from ...callbacks import ClaimCallback
from ...trainers import InputError, MAMLTrainer
from ...trainers.meta import MetaCausalLM
from ...trainers.runs.claim import Claim
from ...trainers.runs.files import ARGUMENTS_FILE, RESULTS_FILE
from ...trainers.runs.folder import claimed
from ...trainers.runs.json_files import read_json, write_json
from ...trainers.runs.safety import PREEMPTED_CODE
from ...trainers.setup_checks import check_setup
from ...trainers.tasks.hold_out import TRAINED, trained_classes
from ..arguments.parser import parse
from .arguments import TYPES, PretrainArguments
from .branching import is_start, reads_other_text
from .corpus import Corpus, load_corpus
from .mixture import end_with_first_source
from .new_model import new_model
from .results import evaluate
from .start import find_start, undone_before_first_step
from .tracking import name_run, report_end
from .watching import publish_checkpoints, watch


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what it writes to results.json."""
    args = PretrainArguments(*parse(TYPES, argv, prog="pretrain"))
    with claimed(Path(args.training.output_dir), args.training.process_index == 0) as claim:
        return pretrain(args, claim)


def pretrain(args: PretrainArguments, claim: Claim | None) -> dict[str, Any]:
    """Train, evaluate and save; returns what it writes to results.json."""
    logging.disable_progress_bar()
    if args.run.console != "bar":
        datasets.disable_progress_bars()
    # The stages up to `watch` check everything that can be wrong; nothing of the run is written before they are done.
    args.check()
    saved = args.saved()  # here, because the trainer changes its arguments
    checkpoint, publishing = find_start(args, saved)
    corpus = load_corpus(args, checkpoint)
    end_with_first_source(args.training, corpus.blocks)
    trainer = new_trainer(args, corpus, checkpoint)
    watch(trainer, args, corpus, checkpoint)
    if claim is not None:
        trainer.add_callback(ClaimCallback(claim))

    output_dir, is_main = Path(args.training.output_dir), trainer.is_world_process_zero()
    is_new = is_main and not (args.run.resume or args.run.resume_from)
    with undone_before_first_step(output_dir, trainer, is_new):
        if is_start(checkpoint, output_dir) and is_main:
            write_json(output_dir / ARGUMENTS_FILE, saved)
        if corpus.classes is not None:
            corpus.classes.keep(trainer, args.run.console)
        if corpus.start is not None and checkpoint is None and is_main:
            trainer.clock.charge(corpus.start.seconds)
        trainer.stream_begins = is_start(checkpoint, output_dir) and reads_other_text(saved)
        publisher = publish_checkpoints(trainer, publishing)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.preempted:
        trainer.end()
        print(f"preempted after step {trainer.state.global_step}, which is saved: start again with --resume")
        sys.exit(PREEMPTED_CODE)
    trainer.save_model()

    results = evaluate(trainer, args, corpus)
    if is_main:
        write_json(output_dir / RESULTS_FILE, results)
        report_end(trainer, results)
    trainer.end()
    if publisher is not None:
        publisher.finish(trainer.state.global_step)
    return results


def new_trainer(args: PretrainArguments, corpus: Corpus, checkpoint: Path | None) -> MAMLTrainer:
    """The trainer of a new model; raise InputError if model, arguments and corpus do not fit together."""
    model = new_model(args, corpus.tokenizer, corpus.start)
    if checkpoint is not None and (trained := trained_classes(read_json(checkpoint / "config.json"))):
        model.config.episode = {TRAINED: trained}  # a branch may have other tasks
    args.dynamics.check(model)
    own_class = type(model.causal_lm if isinstance(model, MetaCausalLM) else model)
    check_setup(args.training, own_class, model.config, args.training.scheduler_arguments)
    name_run(args.training, args.model)
    try:
        classes = None if corpus.classes is None else corpus.classes.classes
        return MAMLTrainer(model, args.training, corpus.blocks, corpus.tokenizer, classes)
    except ValueError as error:
        raise InputError(str(error)) from error
