"""Makes a checkpoint loadable with trust_remote_code where this package is not installed."""

import json
import shutil
from pathlib import Path

MODEL_FILES = (
    "classifiers_pico.py",
    "configuration_pico.py",
    "loss_pico.py",
    "modeling_pico.py",
    "pipeline_pico.py",
    "rotary_pico.py",
    "tagging_pico.py",
)
AUTO_MAP = {
    "AutoConfig": "configuration_pico.PicoConfig",
    "AutoModel": "modeling_pico.PicoModel",
    "AutoModelForCausalLM": "modeling_pico.PicoForCausalLM",
    "AutoModelForSequenceClassification": "classifiers_pico.PicoForSequenceClassification",
    "AutoModelForTokenClassification": "classifiers_pico.PicoForTokenClassification",
}
# Of a tagger: the pipeline that reads it as in fine-tuning takes the place of transformers' own.
PIPELINES = {
    "token-classification": {
        "impl": "pipeline_pico.PicoNERPipeline",
        "pt": ["AutoModelForTokenClassification"],
        "type": "text",
    }
}


def add_remote_code(folder: Path, config: Path) -> None:
    """Write the modelling files, and `config` with the Auto classes, and the pipeline of a tagger, that they define.

    Args:
        folder: where to; created if missing.
        config: path of a config.json, which may be the folder's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(config.read_text()) | {"auto_map": AUTO_MAP}
    # The modelling files do not define the class with the episodes' head; without it, the model is a plain decoder.
    if content.get("architectures") == ["PicoForMetaCausalLM"]:
        content["architectures"] = ["PicoForCausalLM"]
    if content.get("architectures") == ["PicoForTokenClassification"]:
        content["custom_pipelines"] = PIPELINES
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    for name in MODEL_FILES:
        shutil.copy(Path(__file__).parent / name, folder / name)
