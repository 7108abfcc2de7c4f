"""What the trainer asks of a source of episodes; word episodes and class episodes have one each."""

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from .meta.episode_model import EpisodeOutput

E = TypeVar("E")


class DrawsEpisodes(Protocol[E]):
    """Draws the same episode of type E on every process, on the CPU, so that no draw waits for a GPU."""

    @property
    def streams(self) -> bool:
        """True when support states are those of earlier next-token passes."""

    @property
    def global_batch(self) -> int:
        """Blocks of a micro-batch over all processes."""

    @property
    def blocks_to_check(self) -> int:
        """Number of blocks from the start of the corpus that `start` needs."""

    def start(self, blocks: Tensor, documents: Tensor) -> None:
        """Take (R, T) blocks from the start of the corpus; InputError if they have too few words."""

    def before(self, input_ids: Tensor, documents: Tensor | None = None) -> None:
        """Take this process's micro-batch (B, T), on the CPU, before an episode is drawn."""

    def draw(self, input_ids: Tensor, generator: torch.Generator) -> E | None:
        """Draw the episode of all processes from their micro-batches (B, T), or return None if words are too few."""

    def inputs(self, episode: E) -> dict[str, Any]:
        """Return what the model's forward needs besides the episode."""

    def after(self, output: EpisodeOutput) -> None:
        """Take what the model returned for this process's micro-batch."""

    def state(self) -> dict[str, Tensor]:
        """Return tensors for a checkpoint, on the CPU; every process must call it."""

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
