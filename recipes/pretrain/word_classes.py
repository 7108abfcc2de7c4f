"""The word classes of a run: made once, kept in its folder and its checkpoints, read again when it is resumed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from ...trainers import MAMLTrainer
from ...trainers.runs.files import CLASSES_FILE
from ...trainers.word_classes import Record, WordClasses, make_classes
from .arguments import PretrainArguments
from .made_once import made_once

# Classes whose words are recorded, and their words.
EXAMPLES = 12, 12


@dataclass(frozen=True)
class RunClasses:
    """The word classes of a run.

    Attributes:
        classes: the same on every process.
        record: of new ones, and of a run that starts again; None where a checkpoint has counted their cost.
    """

    classes: WordClasses
    record: Record | None

    def keep(self, trainer: MAMLTrainer, console: str) -> None:
        """Save and print the classes unless they come from a checkpoint, and count what they cost as training."""
        if not trainer.is_world_process_zero():
            return
        run = Path(str(trainer.args.output_dir))
        if self.record is None:
            if not (run / CLASSES_FILE).exists():  # the checkpoint is another run's
                self.classes.save(run)
            return
        self.record.save(run)
        self.classes.save(run)  # last: where the classes are, the record is too
        trainer.clock.charge(self.record.seconds)
        if console == "bar":
            print(self.record)
        elif console == "json":
            print(json.dumps({"word_classes": asdict(self.record)}), flush=True)


def load_classes(
    args: PretrainArguments, blocks: Any, tokenizer: PreTrainedTokenizerBase, checkpoint: Path | None
) -> RunClasses | None:
    """The classes that the run asks for; None for episodes whose classes are words.

    A run that is resumed reads those of its checkpoint, or of its folder before the first one. Otherwise the main
    process makes them.

    Raises:
        InputError: the training text, or the file, does not give such classes.
    """
    training = args.training
    if not training.class_episodes:
        return None
    run, resumed = Path(str(training.output_dir)), args.run.resume or args.run.resume_from is not None
    if checkpoint is not None:
        return RunClasses(WordClasses.load(checkpoint), None)
    if resumed and (run / CLASSES_FILE).exists():
        return RunClasses(WordClasses.load(run), Record.load(run))
    vocab_size = args.model.config().vocab_size
    (classes, tokens), seconds = made_once(
        training, lambda: make_classes(blocks, tokenizer, vocab_size, training, training.seed)
    )
    counts = len(classes), classes.n_classes, training.class_min_count, tokens
    return RunClasses(classes, Record(training.episode_classes, *counts, seconds, dict(classes.examples(*EXAMPLES))))
