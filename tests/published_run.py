"""What the tests of publishing share: an account, a repository, a folder with a model's files but no real model."""

import json
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import constants
from safetensors.torch import save_file

from pico_maml.recipes.publish.settings import PublishArguments, Settings

TOKEN = "hf_adasSecretToken"
REPOSITORY = "ada/pico"


def connect(monkeypatch: pytest.MonkeyPatch, hub: HubServer, home: Path) -> None:
    """Point the client of this process and of its children at a Hub."""
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    for name, value in {
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)


def write_model(folder: Path, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "pico_decoder", "d_model": 8, "vocab_size": 400, "architectures": ["PicoForMetaCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config | {"episode": {"hybrid_ratio": 0.5}}))
    (folder / "tokenizer.json").write_text("{}")
    weights = torch.randn(64, 64, generator=torch.Generator().manual_seed(step))
    save_file({"w": weights, "meta_head.w": torch.zeros(3)}, folder / "model.safetensors")


def settings(**changes) -> Settings:
    args = PublishArguments(**{"publish_to": REPOSITORY, "publish_retry": 0.05, "publish_wait": 20.0, **changes})
    saved = Settings.of_run(Path("nowhere"), args, "0123abcd")
    assert saved is not None
    return saved
