"""What watches a pretraining run: the console, learning dynamics, held-out perplexity and publishing."""

from pathlib import Path

from transformers import PrinterCallback
from transformers import ProgressCallback as TransformersProgressCallback

from ...callbacks import (
    HeadStatisticsCallback,
    JsonConsoleCallback,
    PerplexityCallback,
    ProgressCallback,
    PublishCallback,
)
from ...trainers import MAMLTrainer
from ..arguments.dynamics import add_dynamics
from ..publish.background import BackgroundPublisher
from ..publish.settings import Settings
from .arguments import PretrainArguments
from .corpus import Corpus


def watch(trainer: MAMLTrainer, args: PretrainArguments, corpus: Corpus, checkpoint: Path | None) -> None:
    """Attach the callbacks that print progress and log learning dynamics, head statistics and held-out perplexity."""
    set_console(trainer, args.run.console)
    dynamics = None
    if args.dynamics.dynamics_steps:
        dynamics = add_dynamics(trainer, args.dynamics, corpus.held_out, checkpoint)
    trainer.add_callback(HeadStatisticsCallback(trainer.record, dynamics))
    held_out, every = corpus.held_out, int(trainer.args.eval_steps or trainer.args.logging_steps)
    rows = trainer.args.per_device_eval_batch_size
    trainer.add_callback(
        PerplexityCallback(
            held_out.blocks, rows, every, trainer.log, held_out.text_bytes, corpus.sources, dynamics, held_out.texts
        )
    )


def set_console(trainer: MAMLTrainer, console: str) -> None:
    """Replace what transformers prints by a bar, by lines of JSON, or by nothing."""
    if console == "bar" and trainer.args.disable_tqdm:
        return
    trainer.remove_callback(TransformersProgressCallback)
    trainer.remove_callback(PrinterCallback)
    if console == "json":
        trainer.add_callback(JsonConsoleCallback())
    elif console == "bar":
        trainer.add_callback(ProgressCallback("pretrain"))


def publish_checkpoints(trainer: MAMLTrainer, settings: Settings | None) -> BackgroundPublisher | None:
    """Publish each checkpoint in the background; None if this run, or this process, publishes nothing."""
    if settings is None:
        return None
    output_dir = Path(str(trainer.args.output_dir))
    settings.save(output_dir)
    publisher = BackgroundPublisher(output_dir, settings)
    trainer.add_callback(PublishCallback(publisher.publish))
    return publisher
