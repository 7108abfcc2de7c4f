"""Configuration of the Pico decoder, a small LLaMA-style model (Diehl Martinez, 2025; section 3.1 of the paper)."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RopeParameters

# Width is the only dimension that scales (paper, section 3.1 and Table 11): d_model of each named size.
PICO_SIZES = {"tiny": 96, "small": 384, "medium": 768, "large": 1536}

# Every matrix of a decoder block: what LoRA adapts by default.
LORA_TARGET_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "w_0", "w_1", "w_2"]


class AliasedDict(dict[str, Any]):
    """Values of a configuration, which are also found under the names that the rest of transformers reads.

    peft looks there for the number of heads. The other names are not among the items, so they are never saved.
    """

    def __contains__(self, key: object) -> bool:
        return super().__contains__(PicoConfig.attribute_map.get(str(key), key))

    def __missing__(self, key: str) -> Any:
        return self[PicoConfig.attribute_map[key]]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return super().get(PicoConfig.attribute_map.get(key, key), default)


@strict
class PicoConfig(PreTrainedConfig):
    """Shape of a Pico decoder. The defaults are the `medium` model of the paper (Table 10).

    Args:
        vocab_size: rows of the embedding and of the LM head.
        d_model: width of the residual stream (`hidden_size` to the rest of transformers).
        n_layers: number of decoder blocks.
        attention_n_heads: query heads; must divide `d_model` into heads of an even size (RoPE rotates pairs).
        attention_n_kv_heads: key/value heads (grouped-query attention); must divide `attention_n_heads`.
        activation_hidden_dim: inner width of the SwiGLU block; 4 * `d_model` in the paper.
        max_seq_len: longest sequence in tokens the model is meant for.
        norm_eps: added to the mean square in RMSNorm.
        position_emb_theta: base of the rotary angles.
        rope_parameters: transformers' description of RoPE; by default plain RoPE with `position_emb_theta`.
        initializer_range: standard deviation of the normal distribution that matrices are initialised from.
        tie_word_embeddings: share the embedding with the LM head; the published models do not.
        classifier_dropout: dropout before the classifier of tokens or texts.
        classifier_features: what it classifies, the `last` hidden state of a token, or those of `all` layers together.
        classifier_pooling: what of a text it classifies, its `last` token, or the `mean` of its tokens.

    Raises:
        StrictDataclassError: a value has the wrong type, or the shape cannot be built.
    """

    model_type = "pico_decoder"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (transformers' own idiom)
    # Checkpoints use the published names; the rest of transformers reads these.
    attribute_map = {  # noqa: RUF012
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "attention_n_heads",
        "num_key_value_heads": "attention_n_kv_heads",
        "intermediate_size": "activation_hidden_dim",
        "rms_norm_eps": "norm_eps",
        "max_position_embeddings": "max_seq_len",
    }
    base_model_tp_plan = {  # noqa: RUF012
        "layers.*.attention.q_proj": "colwise",
        "layers.*.attention.k_proj": "colwise",
        "layers.*.attention.v_proj": "colwise",
        "layers.*.attention.o_proj": "rowwise",
        "layers.*.swiglu.w_0": "colwise",
        "layers.*.swiglu.w_1": "colwise",
        "layers.*.swiglu.w_2": "rowwise",
    }
    base_model_fsdp_plan = {  # noqa: RUF012
        "embedding_proj": "free_full_weight",
        "layers.*": "free_full_weight",
        "output_norm": "keep_full_weight",
    }

    vocab_size: int = 50304
    d_model: int = 768
    n_layers: int = 12
    attention_n_heads: int = 12
    attention_n_kv_heads: int = 4
    activation_hidden_dim: int = 3072
    max_seq_len: int = 2048
    norm_eps: int | float = 1e-6
    position_emb_theta: int | float = 10000.0
    rope_parameters: RopeParameters | dict | None = None
    initializer_range: int | float = 0.02
    classifier_dropout: int | float = 0.1
    classifier_features: str = "last"
    classifier_pooling: str = "last"
    use_cache: bool = True
    tie_word_embeddings: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    @classmethod
    def from_size(cls, size: str, **overrides: Any) -> "PicoConfig":
        """Return a named size: tiny (11M parameters), small (65M), medium (181M) or large (570M)."""
        if size not in PICO_SIZES:
            raise ValueError(f"unknown Pico size {size!r}: choose one of {', '.join(PICO_SIZES)}")
        width = PICO_SIZES[size]
        return cls(**{"d_model": width, "activation_hidden_dim": 4 * width, **overrides})

    def __post_init__(self, **kwargs: Any) -> None:
        # The base class turns rope_theta into rope_parameters.
        kwargs.setdefault("rope_theta", self.position_emb_theta)
        super().__post_init__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return all values; `d_model` is also found as `hidden_size`, and so on."""
        return AliasedDict(super().to_dict())

    def validate_architecture(self) -> None:
        """Check the rules between values; `@strict` calls it at construction."""
        width, heads, kv_heads = self.d_model, self.attention_n_heads, self.attention_n_kv_heads
        for name, value in (
            ("vocab_size", self.vocab_size),
            ("d_model", width),
            ("n_layers", self.n_layers),
            ("attention_n_heads", heads),
            ("attention_n_kv_heads", kv_heads),
            ("activation_hidden_dim", self.activation_hidden_dim),
            ("max_seq_len", self.max_seq_len),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if width % heads:
            raise ValueError(
                f"attention_n_heads must divide d_model, got d_model={width} and attention_n_heads={heads}"
            )
        if (width // heads) % 2:
            raise ValueError(
                "d_model / attention_n_heads must be even because RoPE rotates pairs, "
                f"got {width} / {heads} = {width // heads}"
            )
        if heads % kv_heads:
            raise ValueError(
                "attention_n_kv_heads must divide attention_n_heads, "
                f"got attention_n_heads={heads} and attention_n_kv_heads={kv_heads}"
            )
        if not (0 < self.norm_eps < math.inf and 0 < self.position_emb_theta < math.inf):
            raise ValueError(
                "norm_eps and position_emb_theta must be positive and finite, got "
                f"{self.norm_eps} and {self.position_emb_theta}"
            )
        if not 0 <= self.initializer_range < math.inf:
            raise ValueError(f"initializer_range must be finite and not negative, got {self.initializer_range}")
        rope_type = (self.rope_parameters or {}).get("rope_type", "default")
        if rope_type not in ("default", *ROPE_INIT_FUNCTIONS):
            raise ValueError(f"rope_type must be default or one of {sorted(ROPE_INIT_FUNCTIONS)}, got {rope_type!r}")
        if not 0 <= self.classifier_dropout < 1:
            raise ValueError(f"classifier_dropout must be in [0, 1), got {self.classifier_dropout}")
        if self.classifier_features not in ("last", "all"):
            raise ValueError(f"classifier_features must be last or all, got {self.classifier_features!r}")
        if self.classifier_pooling not in ("last", "mean"):
            raise ValueError(f"classifier_pooling must be last or mean, got {self.classifier_pooling!r}")


__all__ = ["LORA_TARGET_MODULES", "PICO_SIZES", "PicoConfig"]
