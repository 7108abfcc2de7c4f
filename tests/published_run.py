"""What the tests of publishing share: an account, a repository, a model that is not one."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from pico_maml.recipes.publishing.settings import PublishArguments, Settings

TOKEN = "hf_adasSecretToken"
REPOSITORY = "ada/pico"


def write_model(folder: Path, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "pico_decoder", "d_model": 8, "vocab_size": 400, "architectures": ["PicoForMetaCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config | {"episode": {"hybrid_ratio": 0.5}}))
    (folder / "tokenizer.json").write_text("{}")
    weights = torch.randn(64, 64, generator=torch.Generator().manual_seed(step))
    save_file({"w": weights, "meta_head.w": torch.zeros(3)}, folder / "model.safetensors")


def settings(**changes) -> Settings:
    args = PublishArguments(**{"publish_to": REPOSITORY, "publish_retry": 0.05, "publish_wait": 20.0, **changes})
    made = Settings.of_run(Path("nowhere"), args, "0123abcd")
    assert made is not None
    return made
