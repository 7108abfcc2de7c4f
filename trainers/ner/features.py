"""Cheap head-only training: the decoder is frozen, so each sentence is encoded once and its features are stored."""

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import TokenClassifierOutput

from ...modeling_pico import PicoForTokenClassification, PicoModel
from ...modeling_pico.classifiers_pico import classifier_input
from ...modeling_pico.loss_pico import count_labels
from ..runs.whole_file import written_whole
from ..tuning.batches import batches, tokens_at_once
from .alignment import IGNORED


class Features:
    """The hidden states of labelled sub-words under a frozen decoder.

    Args:
        decoder: used in evaluation mode and in its own precision (`bf16` of the arguments is for training).
        kind: `last` or `all` layers (see `PicoConfig.classifier_features`).
        folder: stores features under a hash of weights and sentences, so that runs and processes that share the
            folder encode each sentence once. None: nothing is stored.
    """

    def __init__(self, decoder: PicoModel, kind: str = "last", folder: Path | None = None) -> None:
        self.decoder = decoder
        self.kind = kind
        self.folder = folder

    def encode(self, rows: Dataset) -> Tensor:
        """Features of aligned rows (see `align`): (M, W) float32, the M labelled sub-words in order."""
        if self.folder is None:
            return encode(self.decoder, rows, self.kind)
        kind = "" if self.kind == "last" else f"-{self.kind}"
        path = self.folder / f"{self.weights}-{hash_of_rows(rows)}{kind}.npy"
        if not path.exists():
            features = encode(self.decoder, rows, self.kind).numpy()
            with written_whole(path) as temporary, temporary.open("wb") as file:  # another worker may read it
                np.save(file, features)
        return torch.from_numpy(np.load(path, mmap_mode="c"))

    @cached_property
    def weights(self) -> str:
        """A hash of the decoder's weights."""
        return hash_of(p.detach().cpu().contiguous().view(torch.uint8).numpy() for p in self.decoder.parameters())


def hash_of_rows(rows: Dataset) -> str:
    """A hash of what features depend on: the ids, and which of them are labelled."""
    columns = rows[:]
    ids, labels = (np.fromiter(chain.from_iterable(columns[name]), np.int64) for name in ("input_ids", "labels"))
    return hash_of((np.array(columns["length"]), ids, labels == IGNORED))


def hash_of(arrays: Iterable[np.ndarray]) -> str:
    """A hash of the content of arrays, for the name of a file."""
    state = blake2b(digest_size=12)
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


@torch.inference_mode()
def encode(decoder: PicoModel, rows: Dataset, kind: str = "last") -> Tensor:
    """Run the decoder once over aligned rows, in batches of similar length: (M, W) float32 on the CPU."""
    device = next(decoder.parameters()).device
    was_training = decoder.training
    decoder.eval()
    columns = rows[:]
    ids, labelled = columns["input_ids"], [torch.tensor(row) != IGNORED for row in columns["labels"]]
    ends = np.cumsum([int(row.sum()) for row in labelled])
    states = decoder.config.n_layers + 1 if kind == "all" else 1
    features = torch.empty(int(ends[-1]), states * decoder.config.hidden_size)
    for batch in batches(columns["length"], tokens_at_once(device)):
        padded = pad_sequence([torch.tensor(ids[i]) for i in batch], batch_first=True).to(device)
        # No mask: padding stands behind every word, where a causal model never looks.
        outputs = decoder(input_ids=padded, use_cache=False, output_hidden_states=kind == "all")
        for i, sentence in zip(batch, classifier_input(outputs, kind).float().cpu(), strict=True):
            row = sentence[: len(ids[i])][labelled[i]]
            features[int(ends[i]) - len(row) : int(ends[i])] = row
    decoder.train(was_training)
    return features


def feature_rows(rows: Dataset, features: Tensor) -> list[dict[str, Any]]:
    """Sentences as features instead of ids, for `FeatureClassifier`.

    Args:
        rows: aligned rows.
        features: (M, W), from `Features.encode`.
    """
    items, start = [], 0
    columns = rows[:]
    for row, length in zip(columns["labels"], columns["length"], strict=True):
        labels = torch.tensor(row)
        (positions,) = torch.where(labels != IGNORED)
        end = start + len(positions)
        items.append(
            {"features": features[start:end], "positions": positions, "labels": labels[positions], "width": length}
        )
        start = end
    return items


def collate_features(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: `features` (B, W, D), `positions`, `labels` (B, W), and `width`, sub-words of the longest sentence."""
    batch = {
        name: pad_sequence([item[name] for item in items], batch_first=True, padding_value=padding)
        for name, padding in (("features", 0.0), ("positions", 0), ("labels", IGNORED))
    }
    return {**batch, "width": max(item["width"] for item in items)}


class FeatureClassifier(nn.Module):
    """Dropout and classifier of a `PicoForTokenClassification` (the same modules), applied to features.

    Dropout is drawn for all sub-words of the batch, as in the whole model, so that both train alike.
    """

    accepts_loss_kwargs = True

    def __init__(self, model: PicoForTokenClassification) -> None:
        super().__init__()
        self.dropout = model.dropout
        self.score = model.score

    def forward(
        self,
        features: Tensor,
        positions: Tensor,
        width: int,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> TokenClassifierOutput:
        """Classify labelled sub-words.

        Args:
            features: (B, W, D).
            positions: (B, W), the place of each among the sub-words of its sentence.
            width: T, sub-words of the longest sentence.
            labels: (B, W), -100 where a row is shorter.
            num_items_in_batch: divide the summed loss by this (default: the number of labels in the batch).

        Returns:
            `loss` if labels are given; `logits` (B, W, C).
        """
        if self.training and self.dropout.p > 0:
            noise = self.dropout(features.new_ones(len(features), width, features.shape[-1]))
            features = features * noise.gather(1, positions[..., None].expand_as(features))
        logits = self.score(features.to(self.score.weight.dtype))
        loss = None
        if labels is not None:
            summed = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")
            loss = summed / count_labels(labels, num_items_in_batch)
        return TokenClassifierOutput(loss=loss, logits=logits)
