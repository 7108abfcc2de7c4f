"""Name a run for trackers and give them its final results; no tracker is on by default."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.integrations import TensorBoardCallback, WandbCallback

from ...trainers import MAMLConfig
from ...trainers.runs.safety.trackers import TolerantTracker
from ..arguments.model import ModelArguments

PROJECT = "pico-maml"
logger = logging.getLogger(__name__)


def name_run(args: MAMLConfig, model: ModelArguments) -> None:
    """Name the run after its folder, its group after the paper's model or `init_from`, its project after the package.

    --run_name, --project, WANDB_PROJECT and WANDB_RUN_GROUP override these names.
    """
    if args.run_name is None:
        args.run_name = Path(str(args.output_dir)).name
    if args.project == MAMLConfig.project:
        args.project = PROJECT
    group = f"pico-maml-decoder-{model.model_size}" if args.hybrid_ratio > 0 else f"pico-decoder-{model.model_size}"
    if model.other is not None:
        group = Path(str(model.init_from)).name
    if "wandb" in (args.report_to or ()):
        os.environ.setdefault("WANDB_PROJECT", args.project)
        os.environ.setdefault("WANDB_RUN_GROUP", group)


def report_end(trainer: Trainer, results: dict[str, Any]) -> None:
    """Log the final results to wandb, and an image of the curves to wandb and TensorBoard; main process only.

    A tracker that fails is skipped with a warning.
    """
    trackers = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, TolerantTracker)]
    if not trackers:
        return
    # Imported here so that training does not wait for matplotlib.
    from ...trainers.runs.reader import load_run
    from ..report.figures import run_curves, save_png

    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.png"
        run = Path(str(trainer.args.output_dir))
        if not save_png(run_curves(load_run(run, run.name)), curves):
            return
        for callback in trackers:
            if callback.failed:
                continue
            try:
                if isinstance(callback.tracker, WandbCallback):
                    to_wandb(results, curves)
                elif isinstance(callback.tracker, TensorBoardCallback):
                    to_tensorboard(callback.tracker.logging_dir, trainer.state.global_step, curves)
            except Exception as error:  # client libraries and networks fail in many ways
                name = type(callback.tracker).__name__
                logger.warning("%s did not get the final results: %s", name, " ".join(str(error).split()))


def to_wandb(results: dict[str, Any], curves: Path) -> None:
    """Put the results into the run's summary, and log the curves as an image."""
    import wandb

    if wandb.run is not None:
        wandb.run.summary.update({"results": results})
        wandb.run.log({"curves": wandb.Image(str(curves))})


def to_tensorboard(folder: str, step: int, curves: Path) -> None:
    """Log the curves as an image."""
    from matplotlib.image import imread
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        writer.add_image("curves", imread(curves), step, dataformats="HWC")
