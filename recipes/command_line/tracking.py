"""What a tracker calls a run, and what it is given at the end; none is needed, and none is on by default."""

import os
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.image import imread
from transformers import Trainer
from transformers.integrations import TensorBoardCallback

from ...trainers import MAMLConfig
from ..publishing.card.facts import read_metrics
from ..publishing.card.figures import draw_curves

PROJECT = "pico-maml"


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

    Args:
        trainer: after training; on the main process.
        results: what results.json holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.png"
        if not draw_curves(read_metrics(Path(str(trainer.args.output_dir)) / "metrics.jsonl"), curves):
            return
        if "wandb" in (trainer.args.report_to or ()):
            import wandb

            if wandb.run is not None:
                wandb.run.summary.update({"results": results})
                wandb.run.log({"curves": wandb.Image(str(curves))})
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback):
                from torch.utils.tensorboard import SummaryWriter

                with SummaryWriter(callback.logging_dir) as writer:
                    writer.add_image("curves", imread(curves), trainer.state.global_step, dataformats="HWC")
