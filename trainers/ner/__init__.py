"""Named entity recognition on Universal NER: data, alignment, scores and fine-tuning."""

from .fine_tuning import NERConfig, fine_tune, label_names
from .iob2 import LABELS, Sentence, read_iob2
from .scores import entity_scores
from .treebank import load_treebank

__all__ = [
    "LABELS",
    "NERConfig",
    "Sentence",
    "entity_scores",
    "fine_tune",
    "label_names",
    "load_treebank",
    "read_iob2",
]
