"""Pretrain a Pico model with next-token prediction and MAML episodes.

python -m pico_maml.recipes.pretrain --config demo --output_dir runs/demo
accelerate launch -m pico_maml.recipes.pretrain --config pico-maml-decoder-tiny --output_dir runs/tiny
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

from ...trainers import MAMLTrainer
from ...trainers.runs.files import ARGUMENTS_FILE
from ...trainers.runs.folder import claimed
from ...trainers.runs.json_files import write_json
from ...trainers.runs.safety import PREEMPTED_CODE
from ..arguments.parser import parse
from .arguments import TYPES, PretrainArguments
from .corpus import load_corpus
from .model import new_trainer
from .results import evaluate, save_results
from .start import find_start
from .watching import hide_library_bars, publish_checkpoints, watch


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; returns what it writes to results.json."""
    args = PretrainArguments(*parse(TYPES, argv, prog="pretrain"))
    with claimed(Path(args.training.output_dir), args.training.process_index == 0):
        return pretrain(args)


def pretrain(args: PretrainArguments) -> dict[str, Any]:
    """Train, evaluate and save; returns what it writes to results.json."""
    hide_library_bars(args.run.console)
    # The stages up to `watch` check everything that can be wrong; nothing of the run is written before they are done.
    args.check()
    saved = args.saved()  # here, because the trainer changes its arguments
    checkpoint, publishing = find_start(args, saved)
    corpus = load_corpus(args, checkpoint)
    trainer = new_trainer(args, corpus)
    watch(trainer, args, corpus, checkpoint)
    publisher = publish_checkpoints(trainer, publishing)

    if checkpoint is None and trainer.is_world_process_zero():
        write_json(Path(args.training.output_dir, ARGUMENTS_FILE), saved)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.preempted:
        exit_preempted(trainer)
    trainer.save_model()

    results = evaluate(trainer, args, corpus)
    save_results(trainer, results)
    trainer.end()
    if publisher is not None:
        publisher.finish(trainer.state.global_step)
    return results


def exit_preempted(trainer: MAMLTrainer) -> NoReturn:
    """Exit with the code that asks a scheduler to start the run again."""
    trainer.end()
    print(f"preempted after step {trainer.state.global_step}, which is saved: start again with --resume")
    sys.exit(PREEMPTED_CODE)
