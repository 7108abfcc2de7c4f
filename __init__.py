"""pico-maml: pretrain small decoders with MAML episodes between next-token steps, and watch them learn.

Importing the package registers the Pico classes with transformers, so that `AutoModelForCausalLM.from_pretrained`
and its siblings load every Pico checkpoint.
"""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForTokenClassification

from ._version import __version__
from .modeling_pico import PicoConfig, PicoForCausalLM, PicoForTokenClassification, PicoModel

AutoConfig.register(PicoConfig.model_type, PicoConfig, exist_ok=True)
AutoModel.register(PicoConfig, PicoModel, exist_ok=True)
AutoModelForCausalLM.register(PicoConfig, PicoForCausalLM, exist_ok=True)
AutoModelForTokenClassification.register(PicoConfig, PicoForTokenClassification, exist_ok=True)

__all__ = ["PicoConfig", "PicoForCausalLM", "PicoForTokenClassification", "PicoModel", "__version__"]
