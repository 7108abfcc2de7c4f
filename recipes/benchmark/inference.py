"""Time what a finished model is used for beside transformers' LLaMA: held-out loss, features, generation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM

from ...trainers.ner.features import encode
from .shapes import Shape, pico_and_llama, zipf_text
from .timing import Tasks, in_turn, report

PROMPT, NEW_TOKENS = 64, 32
# Sentences of features, with a length of 5 to 44 tokens, about that of a treebank's.
SENTENCES = 128
LLAMA, PICO = "LlamaForCausalLM", "Pico"


def measure_loss(shape: Shape, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Time the next-token loss of a micro-batch without gradients: as perplexity is measured, and beside logits."""
    pico, llama = (model.eval() for model in pico_and_llama(shape.config(vocab_size)))
    text = zipf_text(shape.batch_size, shape.block_size + 1, vocab_size)
    ids, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
    text_only = {"input_ids": ids, "shift_labels": targets, "use_cache": False}
    tasks = {
        LLAMA: without_gradients(partial(llama, **text_only, labels=targets)),
        PICO: without_gradients(partial(pico, **text_only, skip_logits=True)),
        "Pico, with logits": without_gradients(partial(pico, **text_only)),
    }
    return report(in_turn(tasks, rounds), LLAMA)


def measure_features(shape: Shape, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Time the states of all layers of 128 sentences, which a head-only tagger is trained on.

    LLaMA reads them as a training script would, padded in batches of the shape's size in their own order.
    """
    pico, llama = (model.eval() for model in pico_and_llama(shape.config(vocab_size)))
    text = zipf_text(SENTENCES, 44, vocab_size)
    sentences = [row[: 5 + 13 * number % 40] for number, row in enumerate(text)]
    lengths = [len(sentence) for sentence in sentences]
    ids, labels = [sentence.tolist() for sentence in sentences], [[0] * length for length in lengths]
    rows = Dataset.from_dict({"input_ids": ids, "labels": labels, "length": lengths})
    tasks: Tasks = {
        LLAMA: without_gradients(partial(padded_states, llama, sentences, shape.batch_size)),
        PICO: partial(encode, pico.pico_decoder, rows, "all"),
    }
    return report(in_turn(tasks, rounds), LLAMA)


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


def without_gradients(task: Callable[[], Any]) -> Callable[[], Any]:
    """The same task in inference mode."""
    return torch.inference_mode()(task)


def padded_states(model: LlamaForCausalLM, sentences: list[Tensor], batch_size: int) -> list[Tensor]:
    """For each batch (layers, B, T, D) states of all layers."""
    states = []
    for start in range(0, len(sentences), batch_size):
        batch = sentences[start : start + batch_size]
        ids = pad_sequence(batch, batch_first=True)
        mask = pad_sequence([torch.ones_like(sentence) for sentence in batch], batch_first=True)
        outputs = model.model(ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        states.append(torch.stack(outputs.hidden_states))
    return states
