"""Rotary positions (RoPE, arXiv:2104.09864), with transformers' ways of scaling them to longer texts.

Shape letters: B batch, T tokens, H heads, E head size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, dynamic_rope_update

from .configuration_pico import PicoConfig


class PicoRotaryEmbedding(nn.Module):
    """Cosines and sines of the angles position * theta^(-2i/E), computed once a forward pass for all layers."""

    inv_freq: Tensor

    def __init__(self, config: PicoConfig) -> None:
        super().__init__()
        self.config = config
        # transformers rebuilds the buffers after loading on the meta device and looks for these attribute names.
        assert config.rope_parameters is not None  # filled in by the configuration
        self.rope_type = config.rope_parameters["rope_type"]
        self.max_seq_len_cached = self.original_max_seq_len = config.max_seq_len
        rope_init: Callable = self.compute_default_rope_parameters
        if self.rope_type != "default":
            rope_init = ROPE_INIT_FUNCTIONS[self.rope_type]
        inv_freq, self.attention_scaling = rope_init(config)
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.register_buffer("original_inv_freq", inv_freq.clone(), persistent=False)

    @staticmethod
    def compute_default_rope_parameters(config: PicoConfig, **_: Any) -> tuple[Tensor, float]:
        """Return the E/2 inverse frequencies and the scale of cos and sin, which is 1 for plain RoPE."""
        head_dim = config.d_model // config.attention_n_heads
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float) / head_dim
        assert config.rope_parameters is not None
        return 1.0 / config.rope_parameters["rope_theta"] ** exponents, 1.0

    @torch.no_grad()
    @dynamic_rope_update
    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Position ids (B or 1, T) to cos and sin, each (B or 1, T, E/2), in the dtype of `x`."""
        angles = position_ids[..., None].float() * self.inv_freq.to(x.device, torch.float)
        cos, sin = angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling
        return cos.to(x.dtype), sin.to(x.dtype)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the neighbouring pairs (x[2i], x[2i+1]) of x (B, H, T, E) by angles given as (B or 1, T, E/2)."""
    cos, sin = cos[:, None], sin[:, None]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
