"""A split under a frozen decoder, on which any classifier of features can be scored."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...modeling_pico.tagging_pico import decode_tags
from ..tuning.prototypes import Classifier
from .alignment import IGNORED, gold_tags, predicted_tags
from .entity_counts import micro_f1, sentence_counts
from .labels import tags_of


@dataclass(frozen=True)
class FrozenSplit:
    """Aligned sentences with their features (see `feature_rows`)."""

    rows: list[dict[str, Any]]
    columns: dict[str, list]
    gold: list[list[str]]
    names: tuple[str, ...]  #: of the tags

    @classmethod
    def of(cls, rows: list[dict[str, Any]], aligned: Dataset) -> "FrozenSplit":
        """The split of feature rows, which are in the order of the aligned rows."""
        return cls(rows, aligned[:], gold_tags(aligned), tags_of(aligned))

    def flat(self, chosen: list[int] | None = None) -> tuple[Tensor, Tensor]:
        """Features (M, W) and labels (M,) of the labelled sub-words of all sentences, or of those chosen."""
        rows = self.rows if chosen is None else [self.rows[i] for i in chosen]
        return torch.cat([row["features"] for row in rows]), torch.cat([row["labels"] for row in rows])

    def f1(self, classify: Classifier, decoding: str) -> float:
        """Micro-F1 of a classifier's entities."""
        return float(micro_f1(self.counts(classify, decoding).sum(0)))

    def counts(self, classify: Classifier, decoding: str) -> np.ndarray:
        """(S, 3) entities of each sentence that are correct, predicted by a classifier, and in gold."""
        logits = pad_sequence([classify(row["features"]) for row in self.rows], batch_first=True)
        true = pad_sequence([row["labels"] for row in self.rows], batch_first=True, padding_value=IGNORED)
        classes = decode_tags(logits, true != IGNORED, decoding, self.names)
        tags = predicted_tags(classes.numpy(), true.numpy(), self.columns, self.names)
        return sentence_counts(self.gold, tags)
