"""The Pico decoder: its configuration and its models."""

from .configuration_pico import LORA_TARGET_MODULES, PICO_SIZES, PicoConfig
from .modeling_pico import PicoForCausalLM, PicoForTokenClassification, PicoModel, PicoPreTrainedModel

__all__ = [
    "LORA_TARGET_MODULES",
    "PICO_SIZES",
    "PicoConfig",
    "PicoForCausalLM",
    "PicoForTokenClassification",
    "PicoModel",
    "PicoPreTrainedModel",
]
