"""Any language model of transformers with the head of the episodes, by wrapping it."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ...modeling_pico import PicoForCausalLM
from ..errors import InputError
from ..runs.files import HEAD_FILE
from .episode_model import Encoded, EpisodeModel
from .inner_loop import MetaHead, draw_head
from .meta_model import PicoForMetaCausalLM, save_config


class MetaCausalLM(EpisodeModel):
    """A language model of any class, `causal_lm`, beside `meta_head`; it is read through transformers' interfaces.

    Saved are the files of the language model, which load as its own class, and the head in a file of its own.
    """

    def __init__(self, causal_lm: PreTrainedModel) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.config = causal_lm.config
        self.base_model_prefix = f"causal_lm.{causal_lm.base_model_prefix}"
        self.meta_head = MetaHead(self.config.hidden_size, **self.config.meta_head)

    @classmethod
    def from_causal_lm(cls, model: PreTrainedModel, seed: int, **head: Any) -> "MetaCausalLM":
        """Add a new head, with these arguments of `MetaHead`, to a language model, which itself is trained.

        The head is initialised from `seed`; the global random state does not change. Raises InputError if episodes
        cannot read the model.
        """
        check_readable(model)
        model.config.meta_head = head
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            meta = cls(model)
            draw_head(meta.meta_head, model.config.vocab_size).to(model.device)
        return meta

    def twin(self, config: PreTrainedConfig) -> "MetaCausalLM":
        """A model of the same classes with this configuration and new weights."""
        return MetaCausalLM(type(self.causal_lm)(config))

    @property
    def backbone(self) -> nn.Module:
        """The decoder without its LM head."""
        return self.causal_lm.base_model

    def next_token(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        *,
        shift_labels: Tensor | None = None,
        labels: Tensor | None = None,
        skip_logits: bool = False,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return the model's output, with the mean cross-entropy of `shift_labels` (B, T), the tokens that follow.

        `labels` are only for models that shift them; `skip_logits` omits the logits from what is returned.
        """
        output = self.causal_lm(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, return_dict=True, **kwargs
        )
        loss = None if shift_labels is None else cross_entropy(output.logits, shift_labels)
        logits = None if skip_logits else output.logits
        return CausalLMOutputWithPast(loss, logits, hidden_states=output.hidden_states)

    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        shift_labels: Tensor | None,
        every_layer: bool,
        by_row: bool,
    ) -> Encoded:
        """Encode as `EpisodeModel` says; without labels the LM head does not run."""
        where: dict[str, Any] = {"attention_mask": attention_mask, "position_ids": position_ids, "use_cache": False}
        if shift_labels is None:
            encoded = self.backbone(input_ids, output_hidden_states=every_layer, **where)
            return Encoded(encoded.last_hidden_state, encoded.hidden_states, None)
        output = self.next_token(input_ids, shift_labels=shift_labels, output_hidden_states=True, **where)
        row_losses = None
        if by_row:
            nats = F.cross_entropy(
                output.logits.detach().float().flatten(0, 1), shift_labels.flatten(), reduction="none"
            )
            row_losses = nats.view(shift_labels.shape).mean(1)
        return Encoded(output.hidden_states[-1], output.hidden_states, output.loss, row_losses)

    def save_pretrained(self, save_directory: str | Path, is_main_process: bool = True, **kwargs: Any) -> None:
        """Save the language model as its own class, and the head beside it."""
        self.causal_lm.save_pretrained(save_directory, is_main_process=is_main_process, **kwargs)
        if is_main_process:
            save_config(self.config, save_directory, type(self.causal_lm).__name__)
            save_file(self.meta_head.state_dict(), Path(save_directory, HEAD_FILE), metadata={"format": "pt"})

    def load_weights(self, folder: str | Path) -> None:
        """Load what `save_pretrained` wrote, in place."""
        # By its own class, because the names in files may differ from those in memory.
        saved = type(self.causal_lm).from_pretrained(folder, dtype=self.causal_lm.dtype)
        self.causal_lm.load_state_dict(saved.state_dict())
        self.load_head(Path(folder, HEAD_FILE))

    def load_head(self, file: str | Path) -> None:
        """Load the weights of the head."""
        self.meta_head.load_state_dict(load_file(file))

    # What the Trainer and callbacks ask of a PreTrainedModel.

    @property
    def generation_config(self) -> Any:
        """That of the language model."""
        return self.causal_lm.generation_config

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of the language model."""
        return self.causal_lm.get_input_embeddings()

    def set_attn_implementation(self, implementation: str) -> None:
        """Exchange the attention of the language model."""
        self.causal_lm.set_attn_implementation(implementation)

    def activation_checkpointing_enable(self, **kwargs: Any) -> None:
        """Compute activations again in the backward pass, to save memory."""
        self.causal_lm.activation_checkpointing_enable(**kwargs)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over (B, T) targets, -100 for none, of logits (B, T, V), in fp32 and nats."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def add_head(model: PreTrainedModel | MetaCausalLM, seed: int, **head: Any) -> EpisodeModel:
    """Return a model with a new head of these arguments of `MetaHead`; its weights are shared, not copied."""
    if isinstance(model, MetaCausalLM):
        model = model.causal_lm
    meta_class = PicoForMetaCausalLM if isinstance(model, PicoForCausalLM) else MetaCausalLM
    return meta_class.from_causal_lm(model, seed, **head)


def check_readable(model: PreTrainedModel) -> None:
    """Raise InputError unless episodes can read the states of a model, a causal decoder, from texts of four tokens."""
    name = type(model).__name__
    if not isinstance(model, PreTrainedModel) or model.base_model is model or model.get_output_embeddings() is None:
        raise InputError(f"{name} is no language model of transformers: give one that AutoModelForCausalLM loads")
    check_config(model.config, name)
    ids = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]], device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            last = model.base_model(ids, use_cache=False).last_hidden_state
            read_by_head = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[-1]
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name} does not return the hidden states of token ids: {reason}") from error
    finally:
        model.train(was_training)
    if not torch.allclose(last[0, :3], last[1, :3], rtol=1e-2, atol=1e-3):
        raise InputError(f"{name} reads later tokens too: episodes and next-token prediction need a causal decoder")
    if last.shape[-1] != model.config.hidden_size or not torch.allclose(last, read_by_head, rtol=1e-2, atol=1e-3):
        raise InputError(
            f"{name}: the hidden states before its LM head are not those of its decoder, which only it knows"
        )


def check_config(config: PreTrainedConfig, name: str) -> None:
    """Raise InputError if a configuration does not say how wide a text decoder and how large its vocabulary is."""
    if missing := [key for key in ("hidden_size", "vocab_size", "num_hidden_layers") if not hasattr(config, key)]:
        raise InputError(f"{name} is no plain text decoder: its configuration has no {' and no '.join(missing)}")
