"""What a tracker calls a run, and what it is given at the end; none is needed, and none is on by default."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.integrations import TensorBoardCallback, WandbCallback

from ...trainers import MAMLConfig
from ...trainers.runs.safety.trackers import TolerantTracker

PROJECT = "pico-maml"
logger = logging.getLogger(__name__)


def name_run(args: MAMLConfig, model_size: str) -> None:
    """Name the run after its folder, its group after the paper's model, its project after the package.

    What is named already, by --run_name and --project or by WANDB_PROJECT and WANDB_RUN_GROUP, stays.
    """
    if args.run_name is None:
        args.run_name = Path(str(args.output_dir)).name
    if args.project == MAMLConfig.project:
        args.project = PROJECT
    model = f"pico-maml-decoder-{model_size}" if args.hybrid_ratio > 0 else f"pico-decoder-{model_size}"
    if "wandb" in (args.report_to or ()):
        os.environ.setdefault("WANDB_PROJECT", args.project)
        os.environ.setdefault("WANDB_RUN_GROUP", model)


def report_end(trainer: Trainer, results: dict[str, Any]) -> None:
    """Give the trackers the final figures: to wandb its summary and the curves, to TensorBoard the curves.

    A tracker that fails here is said and left out, as during training.

    Args:
        trainer: after training; on the main process.
        results: what results.json holds.
    """
    # Imported here, because training need not wait for matplotlib.
    from ...trainers.runs.reader import load_run
    from ..report.figures import draw_run_curves

    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.png"
        run = Path(str(trainer.args.output_dir))
        if not draw_run_curves(load_run(run, run.name), curves):
            return
        for callback in trainer.callback_handler.callbacks:
            if not isinstance(callback, TolerantTracker) or callback.failed:
                continue
            try:
                if isinstance(callback.tracker, WandbCallback):
                    to_wandb(results, curves)
                elif isinstance(callback.tracker, TensorBoardCallback):
                    to_tensorboard(callback.tracker.logging_dir, trainer.state.global_step, curves)
            except Exception as error:  # whatever a service, its network or its client library comes up with
                name = type(callback.tracker).__name__
                logger.warning("%s did not get the final figures: %s", name, " ".join(str(error).split()))


def to_wandb(results: dict[str, Any], curves: Path) -> None:
    """Results into the summary of the run, the curves as an image."""
    import wandb

    if wandb.run is not None:
        wandb.run.summary.update({"results": results})
        wandb.run.log({"curves": wandb.Image(str(curves))})


def to_tensorboard(folder: str, step: int, curves: Path) -> None:
    """The curves as an image beside the scalars."""
    from matplotlib.image import imread
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        writer.add_image("curves", imread(curves), step, dataformats="HWC")
