"""Time what a run does beside its steps: reading data, measuring learning dynamics, saving checkpoints."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback

from ...callbacks import Source
from ...modeling_pico import PicoForCausalLM
from ...trainers import MAMLConfig, MAMLTrainer
from ...trainers.corpus import train_tokenizer
from ..arguments.dynamics import DynamicsArguments, add_dynamics
from .shapes import Shape, zipf_text

STEPS, MEASURED_EVERY, CADENCE = 9, 4, 100


def measure_trainer(shape: Shape, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Time relative to a training step (CPU seconds, wall clock for saving): `shares`, medians over `rounds`.

    `data` is reading a batch, `dynamics` one measurement with default settings every 100 steps, `saving` a checkpoint.
    """
    shares: dict[str, list[float]] = {"data": [], "dynamics": [], "saving": []}
    for _ in range(rounds):
        plain = _train(shape, vocab_size, dynamics=False)
        watched = _train(shape, vocab_size, dynamics=True)
        step = plain["train"] / STEPS
        measurements = 1 + STEPS // MEASURED_EVERY
        shares["data"].append(plain["data"] / plain["train"])
        shares["dynamics"].append((watched["train"] - plain["train"]) / measurements / (CADENCE * step))
        shares["saving"].append(plain["save"] * STEPS / plain["clock"])
    return {"shares": {name: median(values) for name, values in shares.items()}, "rounds": shares}


class TimedTrainer(MAMLTrainer):
    """A trainer that counts the CPU seconds of reading data."""

    data_seconds = 0.0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Fetch the batches of a step, and count the time."""
        began = time.process_time()
        batches = super().get_batch_samples(*args, **kwargs)
        self.data_seconds += time.process_time() - began
        return batches


def _train(shape: Shape, vocab_size: int, dynamics: bool) -> dict[str, float]:
    """Seconds of a short run of next-token prediction: CPU (`train`, `data`), wall clock (`clock`, `save`)."""
    disable_progress_bars()
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["the words of a text"], 300)
    rows = zipf_text(shape.batch_size * STEPS, shape.block_size + 1, vocab_size)
    blocks = Dataset.from_dict({"input_ids": rows.tolist()}).with_format("numpy")
    with tempfile.TemporaryDirectory() as folder:
        args = MAMLConfig(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=shape.batch_size,
            hybrid_ratio=0.0,
            save_strategy="no",
            logging_steps=STEPS,
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = TimedTrainer(PicoForCausalLM(shape.config(vocab_size)), args, blocks, tokenizer)
        trainer.remove_callback(PrinterCallback)
        if dynamics:
            add_dynamics(trainer, DynamicsArguments(dynamics_steps=MEASURED_EVERY), Source(rows, 0), None)
        cpu, clock = time.process_time(), time.perf_counter()
        trainer.train()
        spent = {"train": time.process_time() - cpu, "clock": time.perf_counter() - clock}
        spent["data"] = trainer.data_seconds
        began = time.perf_counter()
        trainer._save_checkpoint(trainer.model, None)
        spent["save"] = time.perf_counter() - began
        assert (Path(folder) / f"checkpoint-{STEPS}").is_dir()
    return spent
