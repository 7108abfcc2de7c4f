"""Texts as token ids, and as the pooled states of a frozen decoder."""

from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

from ...modeling_pico import PicoForSequenceClassification
from ...modeling_pico.classifiers_pico import classifier_input, pool
from ...modeling_pico.loss_pico import count_labels
from ..errors import InputError
from ..tuning.batches import batches, tokens_at_once


def tokenize(rows: dict[str, list], tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list]:
    """Tokenize a batch of texts; what looks like a control token is read as text.

    Args:
        rows: column `text`.
        tokenizer: a fast tokenizer, which tells what it has cut off.
        max_length: tokens after which a text is cut.

    Returns:
        Columns `input_ids`, `attention_mask`, `length`, and `truncated`, true for a text that was cut.

    Raises:
        InputError: the tokenizer is not fast, or makes no token of a text.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not tell what it cuts: use a fast tokenizer (tokenizer.json)"
        )
    encoded = tokenizer(rows["text"], truncation=True, max_length=max_length, split_special_tokens=True)
    ids = encoded["input_ids"]
    if empty := [text for text, row in zip(rows["text"], ids, strict=True) if not row]:
        raise InputError(f"the tokenizer makes no token of the text {empty[0][:60]!r}: delete it")
    return {
        "input_ids": ids,
        "attention_mask": encoded["attention_mask"],
        "length": [len(row) for row in ids],
        "truncated": [bool(encoding.overflowing) for encoding in encoded.encodings],
    }


@torch.no_grad()
def encode(model: PicoForSequenceClassification, rows: Dataset) -> Tensor:
    """What the classifier reads of each of N tokenized texts, under the frozen decoder: (N, W) float32 on the CPU."""
    decoder, config = model.base_model, model.config
    device = next(decoder.parameters()).device
    was_training = decoder.training
    decoder.eval()
    columns = rows[:]
    features = torch.empty(len(rows), model.score.in_features)
    for batch in batches(columns["length"], tokens_at_once(device)):
        ids = [torch.tensor(columns["input_ids"][i]) for i in batch]
        padded = pad_sequence(ids, batch_first=True).to(device)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True).to(device)
        # No mask for the decoder: padding stands behind every text, where a causal model never looks.
        outputs = decoder(input_ids=padded, use_cache=False, output_hidden_states=config.classifier_features == "all")
        states = classifier_input(outputs, config.classifier_features)
        features[batch] = pool(states, mask, config.classifier_pooling).float().cpu()
    decoder.train(was_training)
    return features


def feature_rows(rows: Dataset, features: Tensor) -> list[dict[str, Any]]:
    """Texts as features (N, W) instead of ids, for `FeatureClassifier`."""
    return [{"features": row, "label": label} for row, label in zip(features, rows["label"], strict=True)]


class FeatureClassifier(nn.Module):
    """Dropout and classifier of a `PicoForSequenceClassification` (the same modules), applied to features."""

    accepts_loss_kwargs = True

    def __init__(self, model: PicoForSequenceClassification) -> None:
        super().__init__()
        self.dropout = model.dropout
        self.score = model.score

    def forward(
        self, features: Tensor, labels: Tensor | None = None, num_items_in_batch: Tensor | int | None = None
    ) -> SequenceClassifierOutput:
        """Classify features (B, W) with classes (B,): `loss` if these are given, and `logits` (B, C)."""
        logits = self.score(self.dropout(features.to(self.score.weight.dtype)))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.float(), labels, reduction="sum") / count_labels(labels, num_items_in_batch)
        return SequenceClassifierOutput(loss=loss, logits=logits)
