"""Arguments of the model and its tokenizer."""

from dataclasses import dataclass, field, fields

from ...modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ...trainers import InputError
from ...trainers.loading import load_weights


@dataclass
class ModelArguments:
    """Arguments of the model and its tokenizer."""

    model_size: str = field(default="tiny", metadata={"help": f"One of {', '.join(PICO_SIZES)}."})
    d_model: int | None = field(default=None, metadata={"help": "Width, instead of the named size's."})
    n_layers: int | None = field(default=None, metadata={"help": "Decoder blocks."})
    attention_n_heads: int | None = field(default=None, metadata={"help": "Query heads."})
    attention_n_kv_heads: int | None = field(default=None, metadata={"help": "Key/value heads."})
    activation_hidden_dim: int | None = field(default=None, metadata={"help": "Inner width of SwiGLU."})
    max_seq_len: int | None = field(default=None, metadata={"help": "Longest sequence the model is meant for."})
    vocab_size: int | None = field(
        default=None, metadata={"help": "Rows of the embedding; also the size of a tokenizer trained here."}
    )
    tokenizer: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub name; unset: that of init_from, or a byte-level BPE trained on the corpus."},
    )
    init_from: str | None = field(
        default=None,
        metadata={"help": "Checkpoint to take the weights from, nothing else: optimizer, schedule and data are new."},
    )

    def config(self) -> PicoConfig:
        """The model's configuration."""
        shape = {f.name: self.__dict__[f.name] for f in fields(PicoConfig) if f.name in self.__dict__}
        try:
            return PicoConfig.from_size(self.model_size, **{k: v for k, v in shape.items() if v is not None})
        except ValueError as error:
            raise InputError(str(error)) from error

    def model(self, config: PicoConfig) -> PicoForCausalLM:
        """A new model of this configuration, or the one of `init_from`, which must be of the same shape."""
        if self.init_from is None:
            return PicoForCausalLM(config)
        shape = {f.name: config.to_dict()[f.name] for f in fields(PicoConfig) if f.name in self.__dict__}
        return load_weights(self.init_from, shape)
