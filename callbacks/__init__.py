"""What is watched while a model trains, one callback a file."""

from .activations import ActivationsCallback
from .attention_entropy import AttentionEntropyCallback
from .dynamics_callback import Dynamics, DynamicsCallback
from .dynamics_checkpoint import resume_dynamics, save_dynamics
from .dynamics_file import DYNAMICS_FILE, DynamicsFile, Row, load_dynamics
from .gradient_spectra import GradientSpectraCallback
from .head_statistics import HeadStatisticsCallback
from .perplexity import PerplexityCallback, held_out_loss
from .progress import ProgressCallback
from .weight_spectra import WeightSpectraCallback

__all__ = [
    "DYNAMICS_FILE",
    "ActivationsCallback",
    "AttentionEntropyCallback",
    "Dynamics",
    "DynamicsCallback",
    "DynamicsFile",
    "GradientSpectraCallback",
    "HeadStatisticsCallback",
    "PerplexityCallback",
    "ProgressCallback",
    "Row",
    "WeightSpectraCallback",
    "held_out_loss",
    "load_dynamics",
    "resume_dynamics",
    "save_dynamics",
]
