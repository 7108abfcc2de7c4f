"""The science and the loops: corpus, episodes, inner loop, the pretraining trainer and named entity recognition."""

from typing import Any

from .episodes import Episode, sample_episode
from .errors import InputError
from .inner_loop import adapt_head
from .maml_config import MAMLConfig
from .maml_trainer import MAMLTrainer


def __getattr__(name: str) -> Any:
    """`load_treebank` on first use: pretraining needs nothing of what reads treebanks."""
    if name == "load_treebank":
        from .ner.treebank import load_treebank

        return load_treebank
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Episode", "InputError", "MAMLConfig", "MAMLTrainer", "adapt_head", "load_treebank", "sample_episode"]
