"""What an episode is made of and how its head is adapted: the arguments that training and evaluation share."""

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..checks import check_choice
from ..corpus.words import WordTable
from ..episodes import READOUTS, Episode, count_words, sample_episode
from ..errors import InputError
from .episode_loss import ALGORITHMS, InnerLoop


@dataclass
class EpisodeConfig:
    """Arguments of SMLMT episodes and of the inner loop; a checkpoint keeps them in `config.episode`.

    Raises:
        InputError: a value that makes no sense (names the field, the value and the rule).
    """

    n_way: int = field(default=32, metadata={"help": "N, words to tell apart in an episode."})
    k_shot: int = field(default=4, metadata={"help": "K, support windows of each word."})
    n_query: int = field(default=1, metadata={"help": "Q, query windows of each word."})
    readout: str = field(
        default="mask",
        metadata={
            "help": "Which state is classified: `mask` in place of the word, `previous` the token before it, "
            "`last` the end of a window around it."
        },
    )
    episode_window: int = field(default=32, metadata={"help": "Tokens in a support or query window."})
    word_max_frequency: float = field(
        default=0.005, metadata={"help": "Words above this share of the pool's tokens are no classes (1: no limit)."}
    )
    held_out_words: float = field(
        default=0.1,
        metadata={"help": "Share of the words that are never a class in training, to evaluate on (0: none)."},
    )
    meta_algorithm: str = field(
        default="maml",
        metadata={
            "help": "`maml` adapts a learned head (the paper's), `proto-maml` one whose last layer starts from class "
            "prototypes (Triantafillou et al. 2020), `protonet` leaves it there (Snell et al. 2017)."
        },
    )
    inner_steps: int = field(default=10, metadata={"help": "SGD steps of the inner loop (0: none)."})
    inner_lr: float = field(default=0.5, metadata={"help": "Learning rate of the inner loop."})

    def __post_init__(self) -> None:
        least = {"n_way": 2, "k_shot": 1, "n_query": 1, "episode_window": 2, "inner_steps": 0}
        for name, minimum in least.items():
            if self.__dict__[name] < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {self.__dict__[name]}")
        if not 0 < self.word_max_frequency <= 1:
            raise InputError(f"word_max_frequency must be above 0 and at most 1, got {self.word_max_frequency}")
        if not 0 <= self.held_out_words < 1:
            raise InputError(f"held_out_words must be at least 0 and below 1, got {self.held_out_words}")
        if not self.inner_lr > 0:
            raise InputError(f"inner_lr must be positive, got {self.inner_lr}")
        check_choice("readout", self.readout, READOUTS)
        check_choice("meta_algorithm", self.meta_algorithm, ALGORITHMS)

    def episode_settings(self) -> dict[str, Any]:
        """These fields alone, as a checkpoint keeps them."""
        return {f.name: self.__dict__[f.name] for f in fields(EpisodeConfig)}

    def inner_loop(self) -> InnerLoop:
        """How the head is adapted; evaluation needs no gradient through it."""
        return InnerLoop(self.meta_algorithm, self.inner_steps, self.inner_lr)

    def sample(self, blocks: Tensor, mask_id: int, words: WordTable, generator: torch.Generator) -> Episode | None:
        """An episode from a pool of blocks (R, T); None where it holds too few words. See `sample_episode`."""
        return sample_episode(
            blocks,
            mask_id,
            self.n_way,
            self.k_shot,
            self.n_query,
            generator,
            words=words,
            window=self.episode_window,
            readout=self.readout,
            max_frequency=self.word_max_frequency,
        )

    def check_pool(self, blocks: Tensor, mask_id: int, words: WordTable) -> None:
        """Make sure that episodes can be drawn.

        Raises:
            InputError: the blocks hold too few words (says how many there are).
        """
        available = count_words(
            blocks,
            mask_id,
            self.k_shot + self.n_query,
            words=words,
            window=self.episode_window,
            readout=self.readout,
            max_frequency=self.word_max_frequency,
        )
        if available < self.n_way:
            raise InputError(
                f"n_way is {self.n_way}, but a pool of {len(blocks)} blocks holds {available} words with k_shot + "
                f"n_query = {self.k_shot + self.n_query} windows: lower n_way or k_shot, or use more text, a larger "
                "episode_pool or a larger word_max_frequency"
            )
