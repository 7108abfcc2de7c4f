"""The Pico decoder: RMSNorm, grouped-query attention with rotary positions, SwiGLU (section 3.1 of the paper).

Tensor names are those of the published checkpoints. Shape letters used in this file:
B batch, T query tokens, S key tokens (T plus the cache), D d_model, H heads, E head size, V vocabulary.

References: RMSNorm (arXiv:1910.07467), grouped-query attention (arXiv:2305.13245), RoPE (arXiv:2104.09864),
SwiGLU (arXiv:2002.05202), LLaMA (arXiv:2302.13971).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel, slice_logits_to_keep
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_pico import PicoConfig
from .loss_pico import loss_of_logits, next_token_loss
from .rotary_pico import PicoRotaryEmbedding, apply_rotary

# Heads narrower than a vector register make attention 1.5 times as slow on a CPU.
CPU_HEAD_DIM = 16


class PicoRMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), computed in fp32, cast back, then scaled: the order of the published models."""

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        if x.dtype is self.weight.dtype is torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)  # the same result in one kernel
        normed = F.rms_norm(x.float(), self.weight.shape, eps=self.eps)
        return normed.to(x.dtype) * self.weight


def eager_attention(
    module: "PicoAttention",
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Return the output (B, T, H, E) and the probabilities (B, H, T, S) of attention."""
    groups = module.num_key_value_groups
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = F.dropout(scores.float().softmax(-1).to(query.dtype), dropout, module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), probabilities


class PicoAttention(nn.Module):
    """Causal grouped-query self-attention."""

    def __init__(self, config: PicoConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.d_model // config.attention_n_heads
        self.num_key_value_groups = config.attention_n_heads // config.attention_n_kv_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = True
        kv_dim = config.attention_n_kv_heads * self.head_dim
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.k_proj = nn.Linear(config.d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(config.d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) to (B, T, D) and the probabilities (B, H, T, S), which only the eager implementation returns."""
        x = hidden_states
        heads = (*x.shape[:-1], -1, self.head_dim)
        query = apply_rotary(self.q_proj(x).view(heads).transpose(1, 2), *position_embeddings)
        key = apply_rotary(self.k_proj(x).view(heads).transpose(1, 2), *position_embeddings)
        value = self.v_proj(x).view(heads).transpose(1, 2)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        narrow = x.device.type == "cpu" and self.head_dim < CPU_HEAD_DIM and x.shape[1] > 1
        if narrow:  # zeros appended to query and key change no score; what they add to the value is cut off below
            query, key, value = (F.pad(t, (0, CPU_HEAD_DIM - self.head_dim)) for t in (query, key, value))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        out, probabilities = attend(self, query, key, value, attention_mask, scaling=self.scaling, **kwargs)
        if narrow:
            out = out[..., : self.head_dim]
        return self.o_proj(out.reshape(*x.shape[:-1], -1)), probabilities


class PicoSwiGLU(nn.Module):
    """w_2(silu(w_0 x) * w_1 x): w_0 is the gate, w_1 the up and w_2 the down projection."""

    def __init__(self, config: PicoConfig) -> None:
        super().__init__()
        self.w_0 = nn.Linear(config.d_model, config.activation_hidden_dim, bias=False)
        self.w_1 = nn.Linear(config.d_model, config.activation_hidden_dim, bias=False)
        self.w_2 = nn.Linear(config.activation_hidden_dim, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        gate, up = F.silu(self.w_0(x)), self.w_1(x)
        return self.w_2(gate * up if torch.is_grad_enabled() else gate.mul_(up))


class PicoDecoderLayer(GradientCheckpointingLayer):
    """Pre-norm block: x + attention(norm(x)), then x + swiglu(norm(x))."""

    def __init__(self, config: PicoConfig, layer_idx: int) -> None:
        super().__init__()
        self.attention = PicoAttention(config, layer_idx)
        self.swiglu = PicoSwiGLU(config)
        self.attention_norm = PicoRMSNorm(config.d_model, config.norm_eps)
        self.swiglu_norm = PicoRMSNorm(config.d_model, config.norm_eps)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        # By transformers' names, which wrappers of attention look for.
        attended, _ = self.attention(
            hidden_states=self.attention_norm(x),
            position_embeddings=rotary,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        x = x + attended
        return x + self.swiglu(self.swiglu_norm(x))


class PicoPreTrainedModel(PreTrainedModel):
    """Base class of the Pico models: what they support in transformers, how their weights are named and split."""

    config: PicoConfig
    base_model_prefix = "pico_decoder"
    _input_embed_layer = "embedding_proj"
    supports_gradient_checkpointing = True
    _no_split_modules = ["PicoDecoderLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": PicoDecoderLayer, "attentions": PicoAttention}  # noqa: RUF012
    # Classes without an LM head or an episode head load checkpoints that have one.
    _keys_to_ignore_on_load_unexpected = [r"de_embedding_proj", r"^meta_head\."]  # noqa: RUF012


class PicoModel(PicoPreTrainedModel):
    """The decoder without a head, from token ids to normalised last hidden states."""

    def __init__(self, config: PicoConfig) -> None:
        super().__init__(config)
        self.embedding_proj = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.layers = nn.ModuleList(PicoDecoderLayer(config, i) for i in range(config.n_layers))
        self.output_norm = PicoRMSNorm(config.d_model, config.norm_eps)
        self.rotary_emb = PicoRotaryEmbedding(config)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Encode a batch.

        Args:
            input_ids: (B, T) token ids; or give `inputs_embeds` (B, T, D) instead.
            attention_mask: (B, S), 1 for tokens and 0 for padding.
            position_ids: (B, T); by default counted from the length of the cache. Positions that restart inside
                a row mark packed sequences, which do not see each other.
            past_key_values: the cache; by default a new one if `use_cache` is true.

        Returns:
            `last_hidden_state` (B, T, D) and the cache; `hidden_states` and `attentions` on request.

        Raises:
            ValueError: both or none of `input_ids` and `inputs_embeds` are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if inputs_embeds is None:
            inputs_embeds = self.embedding_proj(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device) + seen)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        rotary = self.rotary_emb(inputs_embeds, position_ids)
        x = inputs_embeds
        for layer in self.layers:
            x = layer(x, rotary, mask, past_key_values, **kwargs)
        return BaseModelOutputWithPast(last_hidden_state=self.output_norm(x), past_key_values=past_key_values)


class PicoForCausalLM(PicoPreTrainedModel, GenerationMixin):
    """The decoder with an LM head."""

    _tied_weights_keys = {"de_embedding_proj.weight": "pico_decoder.embedding_proj.weight"}  # noqa: RUF012
    _tp_plan = {"de_embedding_proj": "colwise_gather_output"}  # noqa: RUF012
    _fsdp_plan = {"de_embedding_proj": "keep_full_weight"}  # noqa: RUF012

    def __init__(self, config: PicoConfig) -> None:
        super().__init__(config)
        self.pico_decoder = PicoModel(config)
        self.de_embedding_proj = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The LM head, weight (V, D)."""
        return self.de_embedding_proj

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the LM head."""
        self.de_embedding_proj = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        shift_labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        skip_logits: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Predict the next token.

        Args:
            labels: (B, T) the input ids, -100 for tokens not to predict; they are shifted by one here.
            shift_labels: (B, T) labels shifted already: the token that follows each position.
            logits_to_keep: number of last positions whose logits are returned (0: all), or their indices.
            skip_logits: with labels, return the loss alone and never hold the logits (B, T, V); by default true in
                training on `input_ids` and false otherwise. Who trains `inputs_embeds`, such as peft, may read them.
            num_items_in_batch: divisor of the summed loss; by default the number of labels in the batch.
            Others: see `PicoModel.forward`.

        Returns:
            `loss` (a scalar in nats a token) with labels; `logits` (B, T or `logits_to_keep`, V) unless skipped.
        """
        outputs = self.pico_decoder(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache=use_cache, **kwargs
        )
        hidden = outputs.last_hidden_state
        loss = logits = None
        if shift_labels is None and labels is not None:
            shift_labels = F.pad(labels, (0, 1), value=-100)[..., 1:]
        if skip_logits is None:
            skip_logits = self.training and inputs_embeds is None
        if shift_labels is None or not skip_logits:
            logits = self.de_embedding_proj(slice_logits_to_keep(hidden, logits_to_keep))
        if shift_labels is not None:
            all_rows = isinstance(logits_to_keep, int) and logits_to_keep == 0
            # A second product with the head would cost as much again.
            if logits is not None and all_rows and not torch.is_grad_enabled():
                loss = loss_of_logits(logits, shift_labels, num_items_in_batch)
            else:
                loss = next_token_loss(hidden, self.de_embedding_proj, shift_labels, num_items_in_batch)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["PicoForCausalLM", "PicoModel", "PicoPreTrainedModel"]
