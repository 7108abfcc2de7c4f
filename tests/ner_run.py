"""Fine-tuning runs, started by a test in this process and in several."""

from pathlib import Path

import torch
from datasets import load_from_disk
from safetensors.torch import save_file
from transformers import AutoTokenizer

from pico_maml import PicoForTokenClassification
from pico_maml.trainers.ner import NERConfig, fine_tune
from pico_maml.trainers.process_group import leave


def train(folder: Path, mode: str, out: Path, world_size: int = 1) -> dict[str, torch.Tensor]:
    """Train on 16 sentences a step, whatever the number of processes; returns the weights at the end and test F1."""
    model = PicoForTokenClassification.from_pretrained(folder / "model")
    model.dropout.p = 0.0  # which is drawn by each process for itself
    args = NERConfig(
        output_dir=str(out / mode),
        mode=mode,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=4 // world_size,
        num_train_epochs=2,
        learning_rate=1e-2,
        optim="sgd",
        use_cpu=True,
        disable_tqdm=True,
    )
    assert args.world_size == world_size, args.world_size
    treebank = load_from_disk(str(folder / "treebank"))
    tuned = fine_tune(model, AutoTokenizer.from_pretrained(folder / "tokenizer"), treebank, args)
    f1 = torch.tensor(tuned.scores["test"]["f1"])
    return {"f1": f1, **{name: p.detach().clone() for name, p in model.named_parameters()}}


def train_both(folder: Path, out: Path) -> None:
    """One of two processes: train in both modes, and save what each ends with."""
    for mode in ("full", "head"):
        weights = train(folder, mode, out, world_size=2)
        if torch.distributed.get_rank() == 0:
            save_file(weights, out / f"{mode}.safetensors")
    leave()
