"""The fixed class episode of which gradients are measured."""

import logging
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ...trainers.class_episodes.config import ClassEpisodeConfig
from ...trainers.class_episodes.episode import ClassEpisode
from ...trainers.class_episodes.sampling import sample_class_episode
from ...trainers.corpus.form_table import FormTable
from ...trainers.episodes import episode_generator
from ...trainers.meta.episode_loss import InnerLoop
from ...trainers.meta.episode_model import EpisodeModel, read_states
from ...trainers.word_classes import WordClasses

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbedClasses:
    """A class episode with the text it reads. A memory is empty but for this text."""

    ids: Tensor  #: (R, T) token ids
    episode: ClassEpisode
    layer: int  #: whose states are read, from 1; 0 is the last one with its norm

    def loss(self, model: EpisodeModel, inner: InnerLoop, share: float) -> Tensor:
        """`share` times the query loss of the episode, without dropout."""
        episode, ids = self.episode.to(model.device), self.ids.to(model.device)
        features = model.project(read_states(model.layer_states(ids, self.layer), episode, 0))
        return share * model.class_loss(episode, features, inner, None)[0]

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        parts = vars(self.episode) | {"ids": self.ids, "layer": self.layer}
        return {name: torch.as_tensor(part) for name, part in parts.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "ProbedClasses":
        """Restore what `tensors` returned."""
        saved = {f.name: tensors[f.name] for f in fields(ClassEpisode)}
        parts: dict[str, Any] = {name: part if part.ndim else int(part) for name, part in saved.items()}
        return cls(tensors["ids"], ClassEpisode(**parts), int(tensors["layer"]))


@dataclass(frozen=True)
class ClassObjective:
    """The query loss of class episodes that a model is trained with."""

    config: ClassEpisodeConfig
    inner: InnerLoop
    table: FormTable  #: finds the words of training episodes
    classes: WordClasses

    def draw(self, width: int, blocks: Tensor, documents: Tensor | None = None) -> list[ProbedClasses]:
        """Draw an episode from blocks (R, T) that hold four tokens for each of `width` dimensions; none without words.

        Class episodes do not go by documents.
        """
        ids = blocks[: -(-4 * width // blocks.shape[1])]
        seen = torch.zeros(2, self.classes.n_classes, dtype=torch.bool)
        memory = seen if self.config.class_support == "memory" else None
        generator = episode_generator(0, 0, 0)
        episode = sample_class_episode(ids, self.table, self.classes, self.config, generator, memory)
        if episode is None:
            logger.warning(
                f"{len(ids)} blocks of held-out text have too few words that have a class: gradients of the query "
                "loss are not measured"
            )
            return []
        return [ProbedClasses(ids, episode, self.config.class_layer)]
