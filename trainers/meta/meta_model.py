"""Pico with the head of the episodes."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from ...modeling_pico import PicoConfig, PicoForCausalLM
from ...modeling_pico.loss_pico import next_token_loss, next_token_loss_by_row
from .episode_model import Encoded, EpisodeModel
from .inner_loop import MetaHead, draw_part


class PicoForMetaCausalLM(EpisodeModel, PicoForCausalLM):
    """`PicoForCausalLM` plus `meta_head`, whose arguments but the width are in `config.meta_head`.

    Its checkpoints load as any Pico class.
    """

    _keys_to_ignore_on_load_unexpected = []  # noqa: RUF012 (this class has every key of its checkpoints)

    def __init__(self, config: PicoConfig) -> None:
        super().__init__(config)
        self.meta_head = MetaHead(config.d_model, **config.meta_head)
        PicoForCausalLM.post_init(self)

    @classmethod
    def from_causal_lm(cls, model: PicoForCausalLM, seed: int, **head: Any) -> "PicoForMetaCausalLM":
        """Add a new head, with these arguments of `MetaHead`, to a language model; its weights are shared, not copied.

        The head is initialised from `seed`; the global random state does not change.
        """
        model.config.meta_head = head
        with torch.device("meta"):
            meta = cls(model.config)
        meta.pico_decoder, meta.de_embedding_proj = model.pico_decoder, model.de_embedding_proj
        meta.generation_config = model.generation_config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            meta.meta_head = MetaHead(model.config.d_model, **head).apply(meta._init_weights).to(model.device)
        return meta

    def _init_weights(self, module: nn.Module) -> None:
        if not draw_part(module, self.config.vocab_size):
            super()._init_weights(module)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save as `PicoForCausalLM`, the class for other programs to load; the file has the head's weights too."""
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            save_config(self.config, save_directory, PicoForCausalLM.__name__)

    @property
    def backbone(self) -> nn.Module:
        """The decoder without its LM head."""
        return self.pico_decoder

    def next_token(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, position_ids: Tensor | None, **kwargs: Any
    ) -> Any:
        """See `PicoForCausalLM.forward`."""
        return PicoForCausalLM.forward(self, input_ids, attention_mask, position_ids, **kwargs)

    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        shift_labels: Tensor | None,
        every_layer: bool,
        by_row: bool,
    ) -> Encoded:
        """Encode as `EpisodeModel` says, with a loss that never holds the logits of all tokens."""
        encoded = self.pico_decoder(
            input_ids, attention_mask, position_ids, use_cache=False, output_hidden_states=every_layer
        )
        last, loss, row_losses = encoded.last_hidden_state, None, None
        if shift_labels is not None and by_row:
            loss, row_losses = next_token_loss_by_row(last, self.de_embedding_proj, shift_labels)
        elif shift_labels is not None:
            loss = next_token_loss(last, self.de_embedding_proj, shift_labels)
        return Encoded(last, encoded.hidden_states, loss, row_losses)


def save_config(config: PreTrainedConfig, folder: str | Path, architecture: str) -> None:
    """Save the configuration of a trained model with the class to load it by.

    The Trainer switches the cache off for training; generation needs it.
    """
    config = copy.deepcopy(config)
    config.architectures, config.use_cache = [architecture], True
    config.save_pretrained(folder)
