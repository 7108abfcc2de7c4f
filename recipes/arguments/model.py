"""Arguments of the model and its tokenizer."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, set_seed
from transformers.hf_argparser import HfArg

from ...modeling_pico import PICO_SIZES, PicoConfig, PicoForCausalLM
from ...trainers import InputError
from ...trainers.checks import check_choice
from ...trainers.cost import ARCHITECTURE
from ...trainers.loading import load_other, load_weights, other_config
from ...trainers.meta import MetaCausalLM

INITIALIZERS = ("normal", "torch")
RANDOM, SVD = "random", "svd"


@dataclass
class ModelArguments:
    """Arguments of the model and its tokenizer."""

    model_size: str = HfArg(default="tiny", help=f"Shape of the model: {', '.join(PICO_SIZES)}.")
    d_model: int | None = HfArg(default=None, help="Width of the residual stream (unset: the size's).")
    n_layers: int | None = HfArg(default=None, help="Decoder layers (unset: the size's).")
    attention_n_heads: int | None = HfArg(default=None, help="Query heads (unset: the size's).")
    attention_n_kv_heads: int | None = HfArg(default=None, help="Key/value heads (unset: the size's).")
    activation_hidden_dim: int | None = HfArg(default=None, help="Inner width of SwiGLU (unset: the size's).")
    max_seq_len: int | None = HfArg(default=None, help="Longest sequence, in tokens (unset: the size's).")
    vocab_size: int | None = HfArg(
        default=None, help="Rows of the embedding (unset: the size's). A tokenizer trained here has as many tokens."
    )
    tokenizer: str | None = HfArg(
        default=None,
        help="Folder or Hub name (unset: that of init_from or the corpus, or a new one). "
        "A new one is a byte-level BPE, trained on the corpus.",
    )
    initializer: str = HfArg(
        default="normal",
        help="Random weights: `normal` (standard deviation 0.02) or `torch` (torch's defaults, as the published code: "
        "embedding with standard deviation 1, linear layers uniform up to 1/sqrt(inputs)).",
    )
    init_embeddings: str = HfArg(
        default=RANDOM,
        help="Embedding at the start: `random`, or `svd`: vectors of the tokens' neighbours in the training text "
        "(PPMI and SVD of its first class_text_tokens), with the deviation of random weights.",
    )
    init_from: str | None = HfArg(
        default=None,
        help="Model whose weights training starts from, a Pico or another of transformers (unset: random weights). "
        "Optimizer, schedule and data are new.",
    )

    def __post_init__(self) -> None:
        check_choice("initializer", self.initializer, INITIALIZERS)
        check_choice("init_embeddings", self.init_embeddings, (RANDOM, SVD))
        for name, value, usual in (
            ("initializer", self.initializer, "normal"),
            ("init_embeddings", self.init_embeddings, RANDOM),
        ):
            if value != usual and self.init_from is not None:
                raise InputError(f"{name} {value} has no effect on the weights of init_from: remove one of the two")

    def shape(self) -> dict[str, Any]:
        """The fields of `PicoConfig` among these arguments; None where the size decides."""
        names = {f.name for f in fields(PicoConfig)}
        return {name: value for name, value in asdict(self).items() if name in names}

    @cached_property
    def other(self) -> PreTrainedConfig | None:
        """The configuration of `init_from` if that is no Pico; InputError if arguments describe another model."""
        config = None if self.init_from is None else other_config(self.init_from)
        if config is None:
            return None
        usual = {f.name: f.default for f in fields(ModelArguments)}
        described = ["model_size", *self.shape()]
        if given := [name for name in described if asdict(self)[name] != usual[name]]:
            raise InputError(
                f"the shape of a new Pico ({', '.join(given)}) has no effect on init_from {self.init_from!r}, a "
                f"{config.model_type}: leave it out, also that of a recipe"
            )
        return config

    def recorded(self) -> dict[str, Any]:
        """What arguments.json says of the model."""
        return asdict(self) | ({} if self.other is None else {ARCHITECTURE: self.other.model_type})

    def config(self) -> PreTrainedConfig:
        """The model's configuration."""
        return self.pico_config() if self.other is None else self.other

    def pico_config(self) -> PicoConfig:
        """The configuration of a Pico."""
        given = {name: value for name, value in self.shape().items() if value is not None}
        try:
            return PicoConfig.from_size(self.model_size, **given)
        except ValueError as error:
            raise InputError(str(error)) from error

    def model(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel | MetaCausalLM:
        """A new model, or that of `init_from`; equal arguments give equal weights.

        A Pico of `init_from` must have the shape that the arguments describe.
        """
        if self.init_from is not None and self.other is not None:
            set_seed(seed)
            return load_other(self.init_from)
        config = self.pico_config()
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        if tokenizer.pad_token_id != tokenizer.eos_token_id:  # the embedding of padding gets no gradient
            config.pad_token_id = tokenizer.pad_token_id
        set_seed(seed)
        if self.init_from is None:
            model = PicoForCausalLM(config)
            if self.initializer == "torch":
                model.apply(reset_weights)
            return model
        settings = config.to_dict()
        return load_weights(self.init_from, {name: settings[name] for name in self.shape()})


def reset_weights(module: nn.Module) -> None:
    """Draw the weights of a linear layer or an embedding from torch's default distribution; leave others."""
    if isinstance(module, nn.Linear | nn.Embedding):
        module.reset_parameters()
