"""Named entity recognition on Universal NER: data, alignment, fine-tuning and scores."""

from .fine_tuning import FineTuned, fine_tune
from .iob2 import LABELS, Entity, Sentence, read_iob2
from .labels import label_names
from .ner_config import NERConfig
from .treebank import load_treebank

__all__ = [
    "LABELS",
    "Entity",
    "FineTuned",
    "NERConfig",
    "Sentence",
    "fine_tune",
    "label_names",
    "load_treebank",
    "read_iob2",
]
