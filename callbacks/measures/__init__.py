"""Measures of a decoder as pure functions: ranks, entropies, similarities, the probe of gradients."""

from .attention_entropy import attention_entropies, attention_entropy
from .attention_maps import attention_values
from .cka import linear_cka
from .class_probe import ClassObjective
from .effective_rank import effective_rank, proportional_effective_rank, singular_values
from .gradient_probe import GradientProbe, QueryObjective, first_blocks
from .modules import Selected, select_modules
from .ov_circuit import ov_singular_values
from .own import Measure, parse_measure
from .probe import probe_activations, spread_positions
from .sentences import sentence_log_probabilities

__all__ = [
    "ClassObjective",
    "GradientProbe",
    "Measure",
    "QueryObjective",
    "Selected",
    "attention_entropies",
    "attention_entropy",
    "attention_values",
    "effective_rank",
    "first_blocks",
    "linear_cka",
    "ov_singular_values",
    "parse_measure",
    "probe_activations",
    "proportional_effective_rank",
    "select_modules",
    "sentence_log_probabilities",
    "singular_values",
    "spread_positions",
]
