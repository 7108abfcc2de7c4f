"""pico-maml: pretrain small decoders with MAML episodes between next-token steps, and watch them learn.

Importing the package registers the Pico classes with transformers' Auto classes, which then load every Pico
checkpoint, and with peft, if it is installed, for LoRA.
"""

from importlib.util import find_spec

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForTokenClassification

from ._version import __version__
from .modeling_pico import LORA_TARGET_MODULES, PicoConfig, PicoForCausalLM, PicoForTokenClassification, PicoModel

AutoConfig.register(PicoConfig.model_type, PicoConfig, exist_ok=True)
AutoModel.register(PicoConfig, PicoModel, exist_ok=True)
AutoModelForCausalLM.register(PicoConfig, PicoForCausalLM, exist_ok=True)
AutoModelForTokenClassification.register(PicoConfig, PicoForTokenClassification, exist_ok=True)

if find_spec("peft") is not None:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    # Without this, `LoraConfig()` needs target_modules.
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.setdefault(PicoConfig.model_type, LORA_TARGET_MODULES)

__all__ = ["PicoConfig", "PicoForCausalLM", "PicoForTokenClassification", "PicoModel", "__version__"]
