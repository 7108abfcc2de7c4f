"""The shipped configurations of accelerate; `pretrain/test_command.py` launches one."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from pico_maml import PicoForCausalLM

FOLDER = Path(__file__).parents[3] / "recipes" / "configs" / "accelerate"
CONFIGS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_loads_the_file_and_knows_every_key(path):
    config = load_config_from_file(str(path))  # raises if a key is unknown
    written = yaml.safe_load(path.read_text())
    assert config.num_processes == written["num_processes"]
    assert config.mixed_precision == "bf16"
    assert str(config.distributed_type.value) == written["distributed_type"]


def test_fsdp_wraps_the_layer_of_the_model():
    config = yaml.safe_load((FOLDER / "fsdp2.yaml").read_text())
    assert config["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"] in PicoForCausalLM._no_split_modules
