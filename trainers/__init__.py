"""The science and the loops: corpus, episodes, inner loop, the pretraining trainer and named entity recognition."""

from .episodes import Episode, sample_episode
from .errors import InputError
from .maml_config import MAMLConfig
from .maml_trainer import MAMLTrainer
from .meta.inner_loop import MetaHead, adapt_head
from .ner.treebank import load_treebank

__all__ = [
    "Episode",
    "InputError",
    "MAMLConfig",
    "MAMLTrainer",
    "MetaHead",
    "adapt_head",
    "load_treebank",
    "sample_episode",
]
