"""Defaults of peft's methods for a Pico: the modules that they adapt in a LLaMA, by Pico's names."""

from typing import Any

import peft.utils.constants as constants
from peft.tuners.adaption_prompt.config import TRANSFORMERS_MODEL_CONFIG, ModelTypeConfig
from torch import Tensor

from .configuration_pico import LORA_TARGET_MODULES, PicoConfig
from .conversion_pico import LAYER_NAMES, TOP_NAMES
from .modeling_pico import PicoAttention
from .rotary_pico import apply_rotary

# From the last part of LLaMA's names to Pico's.
PICO_NAMES = {llama.rpartition(".")[2]: pico.rpartition(".")[2] for pico, llama in (LAYER_NAMES | TOP_NAMES).items()}


def register_with_peft() -> None:
    """Enter Pico in every table of peft that knows LLaMA; without an entry a method needs target_modules."""
    # Tables of other methods are copies of LoRA's; LoRA itself adapts every matrix of a Pico.
    constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.setdefault(PicoConfig.model_type, LORA_TARGET_MODULES)
    for name, table in vars(constants).items():
        modules = table.get("llama") if name.startswith("TRANSFORMERS_MODELS_TO_") else None
        # A later peft may have tables of another kind, or adapt parts that a Pico does not have.
        if isinstance(modules, list) and PICO_NAMES.keys() >= set(modules):
            table.setdefault(PicoConfig.model_type, [PICO_NAMES[module] for module in modules])
    TRANSFORMERS_MODEL_CONFIG.setdefault(
        PicoConfig.model_type,
        ModelTypeConfig(
            compute_query_states=query_states,
            target_modules="attention",
            k_proj_layer="k_proj",
            v_proj_layer="v_proj",
            o_proj_layer="o_proj",
        ),
    )


def query_states(
    model: PicoAttention, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **_: Any
) -> Tensor:
    """Queries (B, H, T, E) of states (B, T, D), for adaption prompts."""
    heads = (*hidden_states.shape[:-1], -1, model.head_dim)
    return apply_rotary(model.q_proj(hidden_states).view(heads).transpose(1, 2), *position_embeddings)
