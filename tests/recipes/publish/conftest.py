"""A Hub with three tokens, the client pointed at it, and a small run with random weights."""

import json
from pathlib import Path

import pytest
import torch
from hub_server import Account, HubServer
from published_run import TOKEN, connect, write_model
from safetensors.torch import save_file

from pico_maml.trainers.runs.checkpoints.seal import seal


@pytest.fixture
def hub(tmp_path, monkeypatch):
    accounts = {TOKEN: Account("ada", ["lab"]), "hf_readOnly": Account("ada", write=False), "hf_bob": Account("bob")}
    with HubServer(tmp_path / "hub", accounts) as server:
        connect(monkeypatch, server, tmp_path / "home")
        yield server


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A run with checkpoints 2 and 4, finished; the second has the higher held-out loss."""
    run = tmp_path / "run"
    rows = []
    for step, loss in ((2, 3.0), (4, 3.5)):
        rows += [
            {"step": step, "next_token_loss": loss - 0.5, "query_accuracy": 0.2, "tokens_seen": 64 * step},
            {"step": step, "eval_next_token_loss": loss, "eval_perplexity": 2.718**loss},
        ]
        write_model(run / f"checkpoint-{step}", step)
        save_file({"m": torch.full((8,), float(step))}, run / f"checkpoint-{step}" / "optimizer_state.safetensors")
        seal(run / f"checkpoint-{step}", step, 1)
    write_model(run, 4)
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "arguments.json").write_text(json.dumps({"dataset": "lab/books", "learning_rate": 3e-4, "seed": 42}))
    (run / "results.json").write_text(json.dumps({"steps": 4}))
    return run
