"""Meta-learning: the head and its inner loop, the loss of an episode, the model around both, and how it is judged."""

from .adaptation import Accuracy, Adaptation, adaptation_table, evaluate_adaptation
from .episode_config import EpisodeConfig
from .episode_loss import InnerLoop
from .inner_loop import MetaHead, adapt_head
from .meta_model import PicoForMetaCausalLM

__all__ = [
    "Accuracy",
    "Adaptation",
    "EpisodeConfig",
    "InnerLoop",
    "MetaHead",
    "PicoForMetaCausalLM",
    "adapt_head",
    "adaptation_table",
    "evaluate_adaptation",
]
