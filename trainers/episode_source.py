"""Where a training run takes its episodes from: the latest blocks of all processes, by the chosen sampler."""

import torch
from accelerate.utils import gather
from torch import Tensor

from .corpus.words import WordTable
from .episode_pool import EpisodePool
from .episodes import Episode, sample_stream_episode
from .episodes.random_positions import sample_random_positions
from .errors import InputError
from .maml_config import MAMLConfig


class EpisodeSource:
    """Draws the same episode on every process.

    Args:
        args: of the run.
        words: which ids are words; a share of them, `args.held_out_words`, is never a class.
        mask_id: the token that hides a word.
    """

    def __init__(self, args: MAMLConfig, words: WordTable, mask_id: int) -> None:
        self.args = args
        self.words, held_out = words.split(args.held_out_words)
        self.held_out = held_out.is_word
        self.mask_id = mask_id
        self.pool = EpisodePool(args.episode_pool, args.per_device_train_batch_size)
        self.streams = args.episode_states == "stream"

    @property
    def blocks_to_check(self) -> int:
        """Blocks from the start of the corpus that `start` wants."""
        return self.pool.capacity + self.pool.global_batch * self.streams

    def start(self, blocks: Tensor) -> None:
        """Try an episode on (R, T) blocks from the start of the corpus, and fill the pool, so that none is skipped.

        Raises:
            InputError: the blocks hold too few words.
        """
        if not self.streams:
            self.pool.fill(blocks)  # with `stream` the pool begins empty: there are no states yet
        if self.args.hybrid_ratio == 0:
            return
        batch = blocks[-self.pool.global_batch :]
        if self.args.episode_sampler == "random_positions":
            self._random_positions(batch, torch.Generator())
        elif not self.streams:
            self.args.check_pool(blocks, self.mask_id, self.words)
        elif self._from_stream(blocks[: -len(batch)], batch, torch.Generator()) is None:
            raise InputError(
                f"the first {len(blocks)} blocks hold too few words for n_way {self.args.n_way}: of each, "
                f"k_shot {self.args.k_shot} must stand in episode_pool {self.args.episode_pool} and n_query "
                f"{self.args.n_query} in a micro-batch; lower them, or raise episode_pool or the batch size"
            )

    def before(self, input_ids: Tensor) -> None:
        """Take this process's micro-batch (B, T) in, before an episode is drawn."""
        if not self.streams:
            self.pool.push(input_ids)

    def after(self, input_ids: Tensor, states: Tensor) -> None:
        """Keep the states (B, T, D) that the next-token pass gave, for later support sets."""
        self.pool.push(input_ids, states)

    def draw(self, input_ids: Tensor, generator: torch.Generator) -> Episode | None:
        """The global episode, on the CPU, or None where there are too few words."""
        device = self.args.device
        if self.streams:
            return self._from_stream(self.pool.all_blocks(device), gather(input_ids), generator) if self.pool else None
        if self.args.episode_sampler == "random_positions":
            return self._random_positions(gather(input_ids), generator)
        return self.args.sample(self.pool.all_blocks(device), self.mask_id, self.words, generator)

    def support_features(self, episode: Episode) -> Tensor | None:
        """(M, D) states of the support examples where they are computed already, on every process."""
        return self.pool.read_states(episode.support) if self.streams else None

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must keep, on the CPU; every process must ask for it."""
        if not self.pool:
            return {}
        kept = {"pool": self.pool.all_blocks(self.args.device).to("cpu", torch.int32)}
        if self.streams:
            kept["pool_states"] = self.pool.all_states(self.args.device).cpu()
        return kept

    def load(self, kept: dict[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            InputError: the checkpoint was saved with other batches.
        """
        if "pool" in kept:
            if len(kept["pool"]) % self.pool.global_batch:
                raise InputError(
                    f"the checkpoint holds {len(kept['pool'])} blocks for episodes, which the "
                    f"{self.pool.global_batch} blocks of a micro-batch over all processes do not divide: resume with "
                    "the batch size and the number of processes that it was saved with"
                )
            states = kept.get("pool_states")
            device = self.args.device
            self.pool.fill(kept["pool"].long().to(device), None if states is None else states.to(device))

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.args.n_way, self.args.k_shot, self.args.n_query

    def _random_positions(self, batch: Tensor, generator: torch.Generator) -> Episode | None:
        return sample_random_positions(batch, self.mask_id, *self._shape, generator, self.held_out)

    def _from_stream(self, past: Tensor, batch: Tensor, generator: torch.Generator) -> Episode | None:
        return sample_stream_episode(
            past,
            batch,
            self.mask_id,
            *self._shape,
            generator,
            words=self.words,
            window=self.args.episode_window,
            max_frequency=self.args.word_max_frequency,
        )
