"""Callbacks that measure a model while it trains, one a file."""

from ..trainers.runs.files import DYNAMICS_FILE
from ..trainers.runs.learning_dynamics import DynamicsFile, Row, load_dynamics
from .activations import ActivationsCallback
from .attention_entropy import AttentionEntropyCallback
from .claim import ClaimCallback
from .dynamics_callback import Dynamics, DynamicsCallback
from .dynamics_checkpoint import resume_dynamics, save_dynamics
from .gradient_spectra import GradientSpectraCallback
from .head_statistics import HeadStatisticsCallback
from .json_console import JsonConsoleCallback
from .perplexity import (
    PerplexityCallback,
    Source,
    held_out_loss,
    mean_text_perplexity,
    measure_source,
    perplexity_rows,
)
from .progress import ProgressCallback
from .publish import PublishCallback
from .weight_spectra import WeightSpectraCallback

__all__ = [
    "DYNAMICS_FILE",
    "ActivationsCallback",
    "AttentionEntropyCallback",
    "ClaimCallback",
    "Dynamics",
    "DynamicsCallback",
    "DynamicsFile",
    "GradientSpectraCallback",
    "HeadStatisticsCallback",
    "JsonConsoleCallback",
    "PerplexityCallback",
    "ProgressCallback",
    "PublishCallback",
    "Row",
    "Source",
    "WeightSpectraCallback",
    "held_out_loss",
    "load_dynamics",
    "mean_text_perplexity",
    "measure_source",
    "perplexity_rows",
    "resume_dynamics",
    "save_dynamics",
]
