"""Draw the episodes of a training run: the chosen sampler on the latest blocks of all processes."""

from typing import Any

import torch
from torch import Tensor

from .corpus.document_numbers import own_numbers
from .corpus.form_table import Words
from .corpus.words import WordTable
from .episode_pool import EpisodePool
from .episodes import Episode, sample_stream_episode
from .episodes.random_positions import sample_random_positions
from .errors import InputError
from .maml_config import MAMLConfig
from .meta.episode_model import EpisodeOutput
from .process_group import gather_on_hosts


class EpisodeSource:
    """Draws the same episode on every process; the share `args.held_out_words` of the words is never a class."""

    def __init__(self, args: MAMLConfig, words: Words, mask_id: int) -> None:
        self.args = args
        training, held_out = words.split(args.held_out_words)
        self.words: Words = training
        # Random positions hide single tokens.
        self.held_out = held_out.is_word if isinstance(held_out, WordTable) else None
        self.mask_id = mask_id
        self.pool = EpisodePool(args.episode_pool, args.per_device_train_batch_size)
        self.streams = args.episode_states == "stream"
        self._ids = self._documents = torch.empty(0)  # of the current micro-batch

    @property
    def global_batch(self) -> int:
        """Blocks of a micro-batch over all processes."""
        return self.pool.global_batch

    @property
    def blocks_to_check(self) -> int:
        """Number of blocks from the start of the corpus that `start` needs."""
        return self.pool.capacity + self.pool.global_batch * self.streams

    def start(self, blocks: Tensor, documents: Tensor) -> None:
        """Fill the pool with (R, T) blocks from the start of the corpus; InputError if they have too few words."""
        if not self.streams:
            self.pool.fill(blocks, documents)  # a stream starts with an empty pool because there are no states yet
        if self.args.hybrid_ratio == 0:
            return
        batch = blocks[-self.pool.global_batch :]
        if self.args.episode_sampler == "random_positions":
            self._random_positions(batch, torch.Generator())
        elif not self.streams:
            self.args.check_pool(blocks, self.mask_id, self.words, documents)
        elif self._from_stream(blocks[: -len(batch)], batch, documents, torch.Generator()) is None:
            raise InputError(
                f"the first {len(blocks)} blocks have too few words for n_way {self.args.n_way}: each needs "
                f"k_shot {self.args.k_shot} places in episode_pool {self.args.episode_pool} and n_query "
                f"{self.args.n_query} in a micro-batch, in other documents; lower them, or raise episode_pool or the "
                "batch size"
            )

    def before(self, input_ids: Tensor, documents: Tensor | None = None) -> None:
        """Add this process's micro-batch (B, T) to the pool before an episode is drawn; streams do so in `after`."""
        self._ids = input_ids
        self._documents = own_numbers(input_ids) if documents is None else documents
        if not self.streams:
            self.pool.push(input_ids, self._documents)

    def after(self, output: EpisodeOutput) -> None:
        """Add the micro-batch and its states of the next-token pass, if they are kept, to the pool."""
        if output.states is not None:
            self.pool.push(self._ids, self._documents, output.states)

    def draw(self, input_ids: Tensor, generator: torch.Generator) -> Episode | None:
        """Draw the episode of all processes, on the CPU, or return None if there are too few words."""
        episode = self._draw(input_ids, generator)
        if episode is None or self.args.episode_labels == "own":
            return episode
        return episode.with_shuffled_labels(generator)

    def _draw(self, input_ids: Tensor, generator: torch.Generator) -> Episode | None:
        if self.streams:
            return self._after_the_pool(input_ids, generator) if self.pool else None
        if self.args.episode_sampler == "random_positions":
            return self._random_positions(gather_on_hosts(input_ids), generator)
        documents = self.pool.all_documents()
        return self.args.sample(self.pool.all_blocks(), self.mask_id, self.words, generator, documents)

    def inputs(self, episode: Episode) -> dict[str, Any]:
        """Return what the model's forward needs besides: with a stream the (M, D) support states of earlier passes."""
        return {"support_features": self.pool.read_states(episode.support) if self.streams else None}

    def state(self) -> dict[str, Tensor]:
        """Return the tensors of the pool for a checkpoint, on the CPU; every process must call it."""
        if not self.pool:
            return {}
        tensors = {
            "pool": self.pool.all_blocks().int(),
            "pool_documents": self.pool.all_documents(),
        }
        if self.streams:
            tensors["pool_states"] = self.pool.all_states().cpu()
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned; InputError if it was saved with another batch size."""
        if "pool" not in tensors:
            return
        blocks = tensors["pool"]
        if len(blocks) % self.pool.global_batch:
            raise InputError(
                f"the checkpoint has {len(blocks)} blocks for episodes, which is no multiple of the "
                f"{self.pool.global_batch} blocks of a micro-batch over all processes: resume with the batch size and "
                "the number of processes that it was saved with"
            )
        states = tensors.get("pool_states")
        if states is not None:
            states = states.to(self.args.device)
        self.pool.fill(blocks.long(), tensors.get("pool_documents"), states)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.args.n_way, self.args.k_shot, self.args.n_query

    def _random_positions(self, batch: Tensor, generator: torch.Generator) -> Episode | None:
        return sample_random_positions(batch, self.mask_id, *self._shape, generator, self.held_out)

    def _after_the_pool(self, input_ids: Tensor, generator: torch.Generator) -> Episode | None:
        """Draw queries from this micro-batch (B, T) of all processes, and support from the pool."""
        documents = torch.cat([self.pool.all_documents(), gather_on_hosts(self._documents)])
        return self._from_stream(self.pool.all_blocks(), gather_on_hosts(input_ids), documents, generator)

    def _from_stream(
        self, past: Tensor, batch: Tensor, documents: Tensor, generator: torch.Generator
    ) -> Episode | None:
        return sample_stream_episode(
            past,
            batch,
            self.mask_id,
            *self._shape,
            generator,
            words=self.words,
            documents=documents,
            rule=self.args.episode_documents,
            window=self.args.episode_window,
            max_frequency=self.args.word_max_frequency,
        )
