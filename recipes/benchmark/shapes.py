"""Model sizes with micro-batches, and random text to time them on."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ...modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ...modeling_pico.conversion_pico import llama_config, llama_state_dict
from ...trainers import InputError


@dataclass(frozen=True)
class Shape:
    """A model size with a micro-batch of `batch_size` rows of `block_size` tokens, written `tiny:4x256`."""

    size: str
    batch_size: int
    block_size: int

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Parse `SIZE:ROWSxTOKENS`.

        Raises:
            InputError: another form, or an unknown size.
        """
        match = re.fullmatch(r"(\w+):([1-9]\d*)x([1-9]\d*)", text)
        if match is None or match[1] not in PICO_SIZES:
            sizes = ", ".join(PICO_SIZES)
            raise InputError(f"shape {text!r} must be SIZE:ROWSxTOKENS such as tiny:4x256, with SIZE one of {sizes}")
        return cls(match[1], int(match[2]), int(match[3]))

    def __str__(self) -> str:
        return f"{self.size}:{self.batch_size}x{self.block_size}"

    def config(self, vocab_size: int) -> PicoConfig:
        """The model's configuration."""
        return PicoConfig.from_size(self.size, vocab_size=vocab_size, max_seq_len=max(2048, self.block_size))


def pico_and_llama(config: PicoConfig) -> tuple[PicoForCausalLM, LlamaForCausalLM]:
    """A Pico decoder and transformers' LLaMA with the same weights."""
    torch.manual_seed(0)
    pico, llama = PicoForCausalLM(config), LlamaForCausalLM(llama_config(config))
    llama.load_state_dict(llama_state_dict(config, pico.state_dict()))
    return pico, llama


def zipf_text(rows: int, length: int, vocab_size: int) -> Tensor:
    """(rows, length) random ids, never 0; id i is ids with probability proportional to 1 / i (Zipf's law)."""
    weights = 1 / torch.arange(1, vocab_size, dtype=torch.float64)
    ids = torch.multinomial(weights, rows * length, replacement=True, generator=torch.Generator().manual_seed(0))
    return ids.view(rows, length) + 1
