"""Tiny random language models of other architectures."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
SHAPES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": LLAMA,
    "qwen2": LLAMA | {"tie_word_embeddings": True},
    "gpt_neox": {name: size for name, size in LLAMA.items() if name != "num_key_value_heads"},
    "olmo2": LLAMA,
}


def any_model(kind: str, vocab_size: int) -> PreTrainedModel:
    """A random model, the same at every call, in fp32."""
    torch.manual_seed(0)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), 0) | {"pad_token_id": None}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=vocab_size, **SHAPES[kind], **ends))
