"""What happens to an episode once it is drawn.

- `inner_loop`: the head, and how it is adapted on the support set.
- `episode_loss`: the query loss of the adapted head, which training minimises.
- `gradients`: the gradients of both losses beside training.
- `gradient_share`: the weight that gives the query loss a share of the next-token gradient's length.
- `episode_model`: a language model with that head; its forward pass computes both losses. `meta_model` is a Pico with
  it, `meta_causal_lm` any other model.
- `adaptation`: query accuracy on held-out episodes.
- `episode_config`: the arguments that training and evaluation share.
"""

from .adaptation import Adaptation, adaptation_table, evaluate_adaptation
from .episode_config import EpisodeConfig
from .episode_loss import InnerLoop
from .episode_model import EpisodeModel
from .gradient_share import GradientShare
from .gradients import norms_and_cosines, objective_gradients
from .inner_loop import MetaHead, adapt_head
from .meta_causal_lm import MetaCausalLM, add_head
from .meta_model import PicoForMetaCausalLM

__all__ = [
    "Adaptation",
    "EpisodeConfig",
    "EpisodeModel",
    "GradientShare",
    "InnerLoop",
    "MetaCausalLM",
    "MetaHead",
    "PicoForMetaCausalLM",
    "adapt_head",
    "adaptation_table",
    "add_head",
    "evaluate_adaptation",
    "norms_and_cosines",
    "objective_gradients",
]
