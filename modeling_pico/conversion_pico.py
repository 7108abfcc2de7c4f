"""Convert a Pico to a LLaMA with the same logits, which every inference engine can load.

Pico rotates neighbouring pairs (x[2i], x[2i+1]), transformers' LLaMA rotates (x[i], x[i + E/2]). Reordering the rows
of the query and key projections within each head makes the two equal: attention only sees their inner products.
"""

from torch import Tensor
from transformers import LlamaConfig

from .configuration_pico import PicoConfig

# From Pico's names to LLaMA's, of the modules of a layer and of the others.
LAYER_NAMES = {
    "attention.q_proj": "self_attn.q_proj",
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.o_proj": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "swiglu_norm": "post_attention_layernorm",
    "swiglu.w_0": "mlp.gate_proj",
    "swiglu.w_1": "mlp.up_proj",
    "swiglu.w_2": "mlp.down_proj",
}
TOP_NAMES = {
    "pico_decoder.embedding_proj": "model.embed_tokens",
    "pico_decoder.output_norm": "model.norm",
    "de_embedding_proj": "lm_head",
}


def llama_config(config: PicoConfig) -> LlamaConfig:
    """Return the LLaMA configuration of the same shape."""
    return LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.activation_hidden_dim,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.attention_n_heads,
        num_key_value_heads=config.attention_n_kv_heads,
        max_position_embeddings=config.max_seq_len,
        rms_norm_eps=float(config.norm_eps),
        rope_parameters=config.rope_parameters,
        initializer_range=config.initializer_range,
        tie_word_embeddings=config.tie_word_embeddings,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
    )


def llama_name(name: str) -> str:
    """Return LLaMA's name of a tensor of `PicoForCausalLM`; KeyError if it has no such tensor."""
    module = name.removesuffix(".weight")
    if module in TOP_NAMES:
        return f"{TOP_NAMES[module]}.weight"
    _, _, number, module = module.split(".", 3)  # pico_decoder.layers.N.MODULE
    return f"model.layers.{number}.{LAYER_NAMES[module]}.weight"


def llama_state_dict(config: PicoConfig, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the tensors of a `PicoForCausalLM` to those of a `LlamaForCausalLM`."""
    tensors = {}
    for name, tensor in state_dict.items():
        if name.endswith("attention.q_proj.weight"):
            tensor = halves_from_pairs(tensor, config.attention_n_heads)
        elif name.endswith("attention.k_proj.weight"):
            tensor = halves_from_pairs(tensor, config.attention_n_kv_heads)
        tensors[llama_name(name)] = tensor
    return tensors


def halves_from_pairs(weight: Tensor, heads: int) -> Tensor:
    """Reorder the rows of a projection (heads * E, D): in each head the even rows first, then the odd ones."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def published_state_dict(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors as in the published checkpoints, where the LM head is part of the decoder."""
    renamed = {"de_embedding_proj.weight": "pico_decoder.de_embedding_proj.weight"}
    return {renamed.get(name, name): tensor for name, tensor in state_dict.items()}
