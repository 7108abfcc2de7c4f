"""Draw the class episodes of a training run: from the micro-batch of all processes, and a memory of earlier ones."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..corpus.form_table import FormTable
from ..errors import InputError
from ..maml_config import MAMLConfig
from ..meta.episode_model import EpisodeOutput
from ..process_group import gather_on_hosts, world_size
from ..word_classes import WordClasses
from .episode import ClassEpisode
from .loss import Memory
from .sampling import sample_class_episode


class ClassEpisodeSource:
    """Draws the same class episode on every process, with words of `table` that have a class.

    Args:
        args: the arguments.
        table: finds the training words by their spelling.
        classes: the classes of words.
        width: W, of projected states.
    """

    streams = False

    def __init__(self, args: MAMLConfig, table: FormTable, classes: WordClasses, width: int) -> None:
        self.args, self.table, self.classes = args, table, classes
        self.global_batch = args.per_device_train_batch_size * world_size()
        self.blocks_to_check = max(args.episode_pool, self.global_batch)
        self.memory: Memory | None = None
        self.seen: Tensor | None = None  # (2, C) bool, classes in the memory by the side of their words
        if args.class_support == "memory":
            sums = torch.zeros(2, classes.n_classes, width, device=args.device)
            self.memory = Memory(sums, args.class_decay)
            self.seen = torch.zeros(2, classes.n_classes, dtype=torch.bool)

    def start(self, blocks: Tensor, documents: Tensor) -> None:
        """Raise InputError unless blocks (R, T) from the start of the corpus have words for an episode."""
        seen = None if self.seen is None else self.seen.clone()
        if self.args.hybrid_ratio and self._sample(blocks, torch.Generator(), seen) is None:
            raise InputError(
                f"the first {len(blocks)} blocks have too few words of episode_classes {self.args.episode_classes} "
                "for an episode: raise the batch size, give classes of more words, or lower class_count"
            )

    def before(self, input_ids: Tensor, documents: Tensor | None = None) -> None:
        """Do nothing: an episode needs no other text than its micro-batch."""

    def draw(self, input_ids: Tensor, generator: torch.Generator) -> ClassEpisode | None:
        """Draw the episode of all processes, on the CPU, or return None if there are too few words."""
        return self._sample(gather_on_hosts(input_ids), generator, self.seen)

    def inputs(self, episode: ClassEpisode) -> dict[str, Any]:
        """Return what the model's forward needs besides."""
        return {"memory": self.memory, "class_layer": self.args.class_layer}

    def after(self, output: EpisodeOutput) -> None:
        """Remember the sums of an episode."""
        if self.memory is not None and output.memory is not None:
            self.memory = replace(self.memory, sums=output.memory)

    def state(self) -> dict[str, Tensor]:
        """Return the memory for a checkpoint, on the CPU; it is the same on every process."""
        if self.memory is None or self.seen is None:
            return {}
        return {"class_memory": self.memory.sums.cpu().clone(), "class_memory_seen": self.seen.clone()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        if self.memory is not None:
            self.memory = replace(self.memory, sums=tensors["class_memory"].to(self.args.device))
            self.seen = tensors["class_memory_seen"].bool()

    def _sample(self, token_ids: Tensor, generator: torch.Generator, seen: Tensor | None) -> ClassEpisode | None:
        return sample_class_episode(token_ids, self.table, self.classes, self.args, generator, seen)
