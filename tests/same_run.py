"""Compares what two runs logged and saved, apart from times."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

TIMED = {"tokens_per_second", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
TIMED |= {"training_cpu_seconds", "sampling_cpu_seconds", "other_cpu_seconds"}
TIMED |= {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


def logs(folder: Path) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name not in TIMED} for entry in entries]


def state(checkpoint: Path) -> dict:
    """Everything a checkpoint holds, apart from times."""
    loaded = {name: torch.load(checkpoint / name, weights_only=True) for name in ("optimizer.pt", "scheduler.pt")}
    loaded |= {name: load_file(checkpoint / name) for name in ("model.safetensors", "maml_state.safetensors")}
    loaded["state"] = json.loads((checkpoint / "trainer_state.json").read_text())
    for entry in loaded["state"]["log_history"]:
        for name in TIMED:
            entry.pop(name, None)
    for name in ("best_model_checkpoint", "epoch"):  # a path; of a stream the share of this part
        loaded["state"].pop(name)
    return loaded


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
