"""Head-only training made cheap: the decoder is frozen, so each sentence is encoded once and its features are kept."""

import os
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
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
from ...modeling_pico.loss_pico import count_labels
from .alignment import IGNORED

# Sub-words, padding included, that the decoder encodes at once: more is not faster on a CPU (LOG.md), but on a GPU.
TOKENS_AT_ONCE, TOKENS_AT_ONCE_GPU = 1024, 32768


class Features:
    """The last hidden states of labelled sub-words under a frozen decoder.

    Args:
        decoder: it is only read, in evaluation mode and its own precision (`bf16` of the arguments is for training).
        folder: keeps features on disk, by the content of weights and sentences: each is encoded once for all runs and
            processes that share the folder. None: nothing is kept.
    """

    def __init__(self, decoder: PicoModel, folder: Path | None = None) -> None:
        self.decoder = decoder
        self.folder = folder

    def encode(self, rows: Dataset) -> Tensor:
        """Features of aligned rows (see `align`): (L, D) float32, the L labelled sub-words in order."""
        if self.folder is None:
            return encode(self.decoder, rows)
        path = self.folder / f"{self.weights}-{content_of(rows)}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written beside and renamed, so that another worker sees the whole file or none.
            temporary = path.with_name(f".{path.stem}-{os.getpid()}.npy")
            np.save(temporary, encode(self.decoder, rows).numpy())
            temporary.replace(path)
        return torch.from_numpy(np.load(path, mmap_mode="c"))

    @cached_property
    def weights(self) -> str:
        """A hash of the decoder's weights."""
        return digest(p.detach().cpu().contiguous().view(torch.uint8).numpy() for p in self.decoder.parameters())


def content_of(rows: Dataset) -> str:
    """A hash of what features depend on: the ids, and which of them are labelled."""
    columns = rows[:]
    lengths = np.array(columns["length"])
    flat = [np.array([i for row in columns[name] for i in row]) for name in ("input_ids", "labels")]
    return digest(iter((lengths, flat[0], flat[1] == IGNORED)))


def digest(arrays: Iterator[np.ndarray]) -> str:
    """A hash of the content of arrays, for the name of a file."""
    state = blake2b(digest_size=12)
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


@torch.inference_mode()
def encode(decoder: PicoModel, rows: Dataset) -> Tensor:
    """Run the decoder once over aligned rows, in batches of similar length: (L, D) float32 on the CPU."""
    device = next(decoder.parameters()).device
    was_training = decoder.training
    decoder.eval()
    columns = rows[:]
    ids, labels = columns["input_ids"], [torch.tensor(row) != IGNORED for row in columns["labels"]]
    ends = np.cumsum([int(kept.sum()) for kept in labels])
    features = torch.empty(int(ends[-1]), decoder.config.hidden_size)
    at_once = TOKENS_AT_ONCE if device.type == "cpu" else TOKENS_AT_ONCE_GPU
    for batch in batches(columns["length"], at_once):
        padded = pad_sequence([torch.tensor(ids[i]) for i in batch], batch_first=True).to(device)
        # No mask: padding stands behind every word, where a causal model never looks.
        hidden = decoder(input_ids=padded, use_cache=False).last_hidden_state
        for i, states in zip(batch, hidden.float().cpu(), strict=True):
            kept = states[: len(ids[i])][labels[i]]
            features[int(ends[i]) - len(kept) : int(ends[i])] = kept
    decoder.train(was_training)
    return features


def batches(lengths: list[int], tokens: int) -> Iterator[list[int]]:
    """Rows in the order of their length, as many at once as fit into `tokens` with padding, one at least."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(i)
    yield batch


class FeatureRows(torch.utils.data.Dataset):
    """Sentences as features instead of ids: what `FeatureClassifier` reads.

    Args:
        rows: aligned rows.
        features: (L, D), of `Features.encode`.
    """

    def __init__(self, rows: Dataset, features: Tensor) -> None:
        self.items = []
        start = 0
        columns = rows[:]
        for labels, length in zip(columns["labels"], columns["length"], strict=True):
            row = torch.tensor(labels)
            (positions,) = torch.where(row != IGNORED)
            end = start + len(positions)
            item = {"features": features[start:end], "positions": positions, "labels": row[positions], "width": length}
            self.items.append(item)
            start = end

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def collate_features(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: `features` (B, W, D), `positions`, `labels` (B, W), and `width`, sub-words of the longest row."""
    batch = {
        name: pad_sequence([item[name] for item in items], batch_first=True, padding_value=padding)
        for name, padding in (("features", 0.0), ("positions", 0), ("labels", IGNORED))
    }
    return {**batch, "width": max(item["width"] for item in items)}


class FeatureClassifier(nn.Module):
    """Dropout and classifier of a `PicoForTokenClassification`, the same modules, on features.

    Dropout is drawn for all sub-words of the batch, as the whole model draws it, so that both train alike.
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
            positions: (B, W) of each among the sub-words of its sentence.
            width: T, sub-words of the longest sentence.
            labels: (B, W), -100 where a row is shorter.
            num_items_in_batch: divide the summed loss by this; by default by the number of labels in the batch.

        Returns:
            `loss` with labels; `logits` (B, W, C).
        """
        if self.training and self.dropout.p > 0:
            noise = self.dropout(features.new_ones(len(features), width, features.shape[-1]))
            features = features * noise.gather(1, positions[..., None].expand_as(features))
        logits = self.score(features)
        loss = None
        if labels is not None:
            summed = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")
            loss = summed / count_labels(labels, num_items_in_batch)
        return TokenClassifierOutput(loss=loss, logits=logits)
