"""Time greedy generation with and without a cache, beside transformers' LLaMA of the same shape."""

from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from ...modeling_pico import PicoForCausalLM
from ...modeling_pico.conversion_pico import llama_config, llama_state_dict
from .shapes import Shape, zipf_text
from .timing import in_turn, report

PROMPT, NEW_TOKENS = 64, 32


def measure_generation(shape: Shape, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Time 32 new tokens after a prompt of 64, batch size 1."""
    config = shape.config(vocab_size)
    torch.manual_seed(0)
    pico = PicoForCausalLM(config).eval()
    peer = LlamaForCausalLM(llama_config(config)).eval()
    peer.load_state_dict(llama_state_dict(config, pico.state_dict()))
    prompt = zipf_text(1, PROMPT, vocab_size)

    def generate(model: PreTrainedModel, use_cache: bool = True) -> None:
        model.generate(
            prompt, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False, use_cache=use_cache
        )

    tasks = {
        "LlamaForCausalLM, cache": lambda: generate(peer),
        "Pico, cache": lambda: generate(pico),
        "Pico, no cache": lambda: generate(pico, use_cache=False),
    }
    return report(in_turn(tasks, rounds), "LlamaForCausalLM, cache")
