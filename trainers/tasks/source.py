"""Draw the episodes of a run that has tasks: from them with a given chance, else from text."""

import logging
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..episode_source import EpisodeSource
from ..episodes import Episode, has_episode
from ..errors import InputError
from ..maml_config import MAMLConfig
from ..meta.episode_model import EpisodeOutput
from .files import read_tasks
from .hold_out import count_texts, training_classes
from .sampling import TaskEpisode, sample_task_episode
from .table import TaskTable

logger = logging.getLogger(__name__)


class TaskEpisodeSource:
    """Draws the same episode on every process: of a task with the chance `task_share`, else by the `words` source.

    Raises:
        InputError: files that are no labelled tasks, or too few examples (see `read_tasks`, `training_classes`).
    """

    def __init__(self, args: MAMLConfig, words: EpisodeSource, tokenizer: PreTrainedTokenizerBase) -> None:
        self.args, self.words = args, words
        rows = read_tasks(args.task_files)
        counts = count_texts(rows)
        examples = args.k_shot + args.n_query
        self.classes = training_classes(counts, args, examples)
        rows = [row for row in rows if row.label in self.classes.get(row.task, ())]
        self.table = TaskTable.from_rows(rows, tokenizer, args.task_window)
        few = [f"{task}/{label}" for task in self.classes for label, n in counts[task].items() if n < examples]
        if few and args.process_index == 0:
            names = f"{', '.join(few[:8])}{' ...' if len(few) > 8 else ''}"
            logger.warning(f"classes with less than k_shot + n_query = {examples} texts are never drawn: {names}")

    @property
    def streams(self) -> bool:
        """True when support states of word episodes are those of earlier next-token passes."""
        return self.words.streams

    @property
    def global_batch(self) -> int:
        """Blocks of a micro-batch over all processes."""
        return self.words.global_batch

    @property
    def blocks_to_check(self) -> int:
        """Number of blocks from the start of the corpus that `start` needs."""
        return self.words.blocks_to_check

    def start(self, blocks: Tensor, documents: Tensor) -> None:
        """Take (R, T) blocks from the start of the corpus; InputError if they have too few words."""
        length = blocks.shape[1]
        if self.args.task_window > length:
            raise InputError(f"task_window is {self.args.task_window}, but a block has {length} tokens: lower it")
        if self.args.task_share < 1:
            self.words.start(blocks, documents)

    def before(self, input_ids: Tensor, documents: Tensor | None = None) -> None:
        """Take this process's micro-batch (B, T) before an episode is drawn."""
        self.words.before(input_ids, documents)

    def draw(self, input_ids: Tensor, generator: torch.Generator) -> Episode | None:
        """Draw the episode of all processes, on the CPU, or return None if the text has too few words."""
        if not has_episode(generator, self.args.task_share):
            return self.words.draw(input_ids, generator)
        shape = self.args.n_way, self.args.k_shot, self.args.n_query
        episode = sample_task_episode(self.table, *shape, generator)
        return episode if self.args.episode_labels == "own" else episode.with_shuffled_labels(generator)

    def inputs(self, episode: Episode) -> dict[str, Any]:
        """Return what the model's forward needs besides; tasks are always encoded in windows of their own."""
        return {} if isinstance(episode, TaskEpisode) else self.words.inputs(episode)

    def after(self, output: EpisodeOutput) -> None:
        """Take what the model returned for the micro-batch."""
        self.words.after(output)

    def state(self) -> dict[str, Tensor]:
        """Return tensors for a checkpoint, on the CPU; every process must call it."""
        return self.words.state()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self.words.load(tensors)
