"""Makes a checkpoint loadable with trust_remote_code where this package is not installed."""

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
    """Write the modelling files, and `config` with an auto_map that names them for four Auto classes.

    Args:
        folder: where to; created if missing.
        config: path of a config.json, which may be the folder's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(config.read_text()) | {"auto_map": AUTO_MAP}
    # The modelling files do not define the class with the episodes' head; without it, the model is a plain decoder.
    if content.get("architectures") == ["PicoForMetaCausalLM"]:
        content["architectures"] = ["PicoForCausalLM"]
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    for name in MODEL_FILES:
        shutil.copy(Path(__file__).parent / name, folder / name)
