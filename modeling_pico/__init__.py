"""The Pico decoder: its configuration and its models."""

from .classifiers_pico import PicoForSequenceClassification, PicoForTokenClassification
from .configuration_pico import LORA_TARGET_MODULES, PICO_SIZES, PicoConfig
from .modeling_pico import PicoForCausalLM, PicoModel, PicoPreTrainedModel

__all__ = [
    "LORA_TARGET_MODULES",
    "PICO_SIZES",
    "PicoConfig",
    "PicoForCausalLM",
    "PicoForSequenceClassification",
    "PicoForTokenClassification",
    "PicoModel",
    "PicoPreTrainedModel",
]
