"""Time greedy generation with and without a cache, beside transformers' LLaMA of the same shape."""

from functools import partial
from typing import Any

from .shapes import Shape, pico_and_llama, zipf_text
from .timing import Tasks, in_turn, report

PROMPT, NEW_TOKENS = 64, 32


def measure_generation(shape: Shape, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Time 32 new tokens after a prompt of 64, batch size 1."""
    pico, llama = (model.eval() for model in pico_and_llama(shape.config(vocab_size)))
    prompt = zipf_text(1, PROMPT, vocab_size)
    options = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}
    tasks: Tasks = {
        "LlamaForCausalLM, cache": partial(llama.generate, prompt, **options),
        "Pico, cache": partial(pico.generate, prompt, **options),
        "Pico, no cache": partial(pico.generate, prompt, **options, use_cache=False),
    }
    return report(in_turn(tasks, rounds), "LlamaForCausalLM, cache")
