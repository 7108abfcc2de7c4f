"""A small training run, started by tests in this process or in several."""

import sys
from pathlib import Path

import torch
from datasets import load_from_disk
from safetensors.torch import save_file
from transformers import AutoTokenizer

from pico_maml import PicoConfig, PicoForCausalLM
from pico_maml.trainers import MAMLConfig, MAMLTrainer


def arguments(output_dir, **changes) -> MAMLConfig:
    """Arguments that fit the fixtures of conftest.py."""
    defaults = {
        "output_dir": str(output_dir),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "n_way": 4,
        "k_shot": 2,
        "episode_window": 8,
        "episode_pool": 16,
        "word_max_frequency": 1.0,
        "head_layers": 2,
        "head_hidden_dim": 16,
        "seed": 3,
    }
    return MAMLConfig(**{**defaults, **changes})


def trainer(model, blocks, tokenizer, output_dir, **changes) -> MAMLTrainer:
    return MAMLTrainer(model, arguments(output_dir, **changes), blocks, tokenizer)


def main(folder: Path, world_size: int, batch: int, out: Path) -> None:
    """One process of a distributed run: train, check the world and let the first process save the weights."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    model = PicoForCausalLM(PicoConfig.from_pretrained(folder / "config"))
    run = trainer(
        model,
        load_from_disk(str(folder / "blocks")).with_format("numpy"),
        tokenizer,
        out,
        per_device_train_batch_size=batch,
        max_steps=6,
    )
    assert run.args.world_size == world_size, run.args.world_size
    run.train()
    if run.is_world_process_zero():
        save_file({name: p.detach().clone() for name, p in run.model.named_parameters()}, out / "weights.safetensors")
    run.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
