"""Classifiers of tokens and of whole texts on top of the Pico decoder.

transformers' generic classes do not fit: as remote code they cannot build the decoder, and their loss is too large by
the number of accumulated micro-batches. Shape letters: B batch, T tokens, D d_model, L layers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)
from transformers.utils import can_return_tuple

from .configuration_pico import PicoConfig
from .loss_pico import count_labels
from .modeling_pico import PicoModel, PicoPreTrainedModel


class PicoClassifier(PicoPreTrainedModel):
    """Base class: the decoder with dropout and a linear classifier, of what `classifier_features` tells."""

    def __init__(self, config: PicoConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.pico_decoder = PicoModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        states = config.n_layers + 1 if config.classifier_features == "all" else 1
        self.score = nn.Linear(states * config.d_model, config.num_labels)
        self.post_init()


class PicoForTokenClassification(PicoClassifier):
    """The decoder with dropout and a linear classifier of each token (section 3.4 of the paper)."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Classify each token.

        Args:
            labels: (B, T) class of each token, -100 for tokens without one.
            num_items_in_batch: divisor of the summed loss; by default the number of labels in the batch.
            Others: see `PicoModel.forward`.

        Returns:
            `loss` (a scalar in nats a label) with labels; `logits` (B, T, num_labels).
        """
        wanted = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        kwargs["output_hidden_states"] = wanted or self.config.classifier_features == "all"
        outputs = self.pico_decoder(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache=use_cache, **kwargs
        )
        logits = self.score(self.dropout(classifier_input(outputs, self.config.classifier_features)))
        loss = None
        if labels is not None:
            targets = labels.reshape(-1).to(logits.device)
            summed = F.cross_entropy(logits.float().view(-1, self.num_labels), targets, reduction="sum")
            loss = summed / count_labels(targets, num_items_in_batch)
        return TokenClassifierOutput(loss, logits, outputs.hidden_states if wanted else None, outputs.attentions)


class PicoForSequenceClassification(PicoClassifier):
    """The decoder with dropout and a linear classifier of each text, of its last token or the mean of its tokens."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Classify each text.

        Args:
            attention_mask: (B, S), 1 for tokens and 0 for padding, on either side; without it, tokens other than
                `config.pad_token_id` count, or all of them if that is unset.
            labels: (B,) class of each text; numbers or several classes a text as `config.problem_type` tells, see
                transformers' `ForSequenceClassificationLoss`.
            num_items_in_batch: divisor of the summed loss of single classes; by default the number of texts.
            Others: see `PicoModel.forward`.

        Returns:
            `loss` (a scalar) with labels; `logits` (B, num_labels).
        """
        wanted = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        kwargs["output_hidden_states"] = wanted or self.config.classifier_features == "all"
        outputs = self.pico_decoder(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache=use_cache, **kwargs
        )
        states = classifier_input(outputs, self.config.classifier_features)
        if attention_mask is None and input_ids is not None and self.config.pad_token_id is not None:
            attention_mask = input_ids.ne(self.config.pad_token_id)
        logits = self.score(self.dropout(pool(states, attention_mask, self.config.classifier_pooling)))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                labels=labels, pooled_logits=logits.float(), config=self.config, num_items_in_batch=num_items_in_batch
            )
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states if wanted else None,
            attentions=outputs.attentions,
        )


def classifier_input(outputs: BaseModelOutputWithPast, features: str) -> Tensor:
    """Return what a classifier reads of each token: (B, T, D) of the `last` layer, (B, T, (L + 1) * D) of `all`."""
    last = outputs.last_hidden_state
    return last if features == "last" else torch.cat([*outputs.hidden_states[:-1], last], -1)


def pool(states: Tensor, attention_mask: Tensor | None, pooling: str) -> Tensor:
    """Reduce the states of tokens to one of each text.

    Args:
        states: (B, T, W).
        attention_mask: (B, S), 0 for padding on either side; S is longer than T behind a cache. None: no padding.
        pooling: `last` token, which has read the whole text, or `mean` over its tokens.

    Returns:
        (B, W); a text of padding alone counts as its first position.
    """
    if attention_mask is None:
        return states[:, -1] if pooling == "last" else states.mean(1)
    mask = attention_mask[:, -states.shape[1] :].to(states.device).bool()
    if pooling == "mean":
        return states.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    positions = torch.arange(states.shape[1], device=states.device)
    last = (positions * mask).argmax(1)
    return states[torch.arange(len(states), device=states.device), last]


__all__ = ["PicoForSequenceClassification", "PicoForTokenClassification"]
