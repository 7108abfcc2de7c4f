"""What makes a folder load with trust_remote_code where this package is not installed."""

import json
import shutil
from pathlib import Path

MODEL_FILES = ("configuration_pico.py", "loss_pico.py", "modeling_pico.py")
AUTO_MAP = {
    "AutoConfig": "configuration_pico.PicoConfig",
    "AutoModel": "modeling_pico.PicoModel",
    "AutoModelForCausalLM": "modeling_pico.PicoForCausalLM",
    "AutoModelForTokenClassification": "modeling_pico.PicoForTokenClassification",
}


def add_remote_code(folder: Path, config: Path) -> None:
    """Write the modelling files and a configuration that names them for all four Auto classes.

    Args:
        folder: gets them.
        config: the config.json to start from; may be the folder's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(config.read_text()) | {"auto_map": AUTO_MAP}
    # The head of the episodes has no class there; the rest of such a checkpoint is a language model.
    if content.get("architectures") == ["PicoForMetaCausalLM"]:
        content["architectures"] = ["PicoForCausalLM"]
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    for name in MODEL_FILES:
        shutil.copy(Path(__file__).parent / name, folder / name)
