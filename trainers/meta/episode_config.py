"""Arguments of an episode and of its inner loop, which training and evaluation share."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from transformers.hf_argparser import HfArg

from ..checks import check_at_least, check_choice
from ..corpus.form_table import Words
from ..corpus.word_forms import check_held_out_rule
from ..episodes import READOUTS, RULES, Episode, count_words, sample_episode
from ..errors import InputError
from .episode_loss import ALGORITHMS, InnerLoop

# Where support and query of a word come from, for messages.
SEPARATION = {"different": "different documents", "apart": "pieces of the text", "any": "any documents"}
# The readout of class episodes: the state at a word's last token, in the next-token pass.
CLASS_READOUT = "word"


@dataclass
class EpisodeConfig:
    """Arguments of SMLMT episodes and of the inner loop; checkpoints save them in `config.episode`.

    Raises:
        InputError: a value is out of its range.
    """

    n_way: int = HfArg(default=32, help="N, words (classes) of an episode.")
    k_shot: int = HfArg(default=4, help="K, support windows of each word.")
    n_query: int = HfArg(default=1, help="Q, query windows of each word.")
    readout: str = HfArg(
        default="mask",
        help="State that is classified: of the `mask`, of the `previous` token, or the window's `last`.",
    )
    episode_window: int = HfArg(default=32, help="Tokens of a support or query window.")
    episode_documents: str = HfArg(
        default="different",
        help="Support and query of a word come from `different` documents, `any`, or blocks `apart` (one document).",
    )
    word_max_frequency: float = HfArg(
        default=0.005, help="Words above this share of the pool's tokens are never a class (1: no limit)."
    )
    held_out_words: float = HfArg(
        default=0.1, help="Share of the words held out of training, to evaluate adaptation on (0: none)."
    )
    held_out_rule: str = HfArg(
        default="form",
        help="What is held out: a word's `form` (case variants together), `stem:LANGUAGE` (inflections too) or `id`.",
    )
    meta_algorithm: str = HfArg(
        default="maml", help="`maml` (learned head), `proto-maml` (starts at prototypes) or `protonet` (stays there)."
    )
    inner_steps: int = HfArg(default=10, help="SGD steps of the inner loop (0: none).")
    inner_lr: float = HfArg(default=0.5, help="Learning rate of the inner loop.")

    def __post_init__(self) -> None:
        check_at_least(2, n_way=self.n_way, episode_window=self.episode_window)
        check_at_least(1, k_shot=self.k_shot, n_query=self.n_query)
        check_at_least(0, inner_steps=self.inner_steps)
        if not 0 < self.word_max_frequency <= 1:
            raise InputError(f"word_max_frequency must be above 0 and at most 1, got {self.word_max_frequency}")
        if not 0 <= self.held_out_words < 1:
            raise InputError(f"held_out_words must be at least 0 and below 1, got {self.held_out_words}")
        if not self.inner_lr > 0:
            raise InputError(f"inner_lr must be positive, got {self.inner_lr}")
        check_held_out_rule(self.held_out_rule)
        check_choice("episode_documents", self.episode_documents, RULES)
        self.check_kind()

    def check_kind(self) -> None:
        """Raise InputError unless readout and algorithm are those of word episodes."""
        check_choice("readout", self.readout, READOUTS)
        check_choice("meta_algorithm", self.meta_algorithm, ALGORITHMS)

    @property
    def needs_mask(self) -> bool:
        """True when the readout hides words behind a mask token."""
        return self.readout in ("mask", "last")

    def episode_settings(self) -> dict[str, Any]:
        """Return the fields of `EpisodeConfig` alone, without those of a subclass."""
        names = {f.name for f in fields(EpisodeConfig)}
        return {name: value for name, value in vars(self).items() if name in names}

    def with_documents(self, rule: str) -> "EpisodeConfig":
        """Return the word episodes of evaluation, with another rule `episode_documents`."""
        return EpisodeConfig(**(of_word_episodes(self.episode_settings()) | {"episode_documents": rule}))

    def inner_loop(self) -> InnerLoop:
        """Return the inner loop, first order."""
        return InnerLoop(self.meta_algorithm, self.inner_steps, self.inner_lr)

    def sample(
        self,
        blocks: Tensor,
        mask_id: int,
        words: Words,
        generator: torch.Generator,
        documents: Tensor | None = None,
    ) -> Episode | None:
        """Draw an episode from blocks (R, T) with document numbers (R, T), or return None if they have too few words.

        Without `documents` each block is a document of its own.
        """
        shape = self.n_way, self.k_shot, self.n_query
        return sample_episode(blocks, mask_id, *shape, generator, words=words, documents=documents, **self._windows())

    def check_pool(self, blocks: Tensor, mask_id: int, words: Words, documents: Tensor | None = None) -> int:
        """Return how many words of blocks (R, T) with document numbers (R, T) can be classes.

        Raises:
            InputError: they are too few for an episode.
        """
        shape = self.k_shot, self.n_query
        available = count_words(blocks, mask_id, *shape, words=words, documents=documents, **self._windows())
        if available < self.n_way:
            raise InputError(
                f"n_way is {self.n_way}, but a pool of {len(blocks)} blocks holds {available} words with k_shot + "
                f"n_query = {self.k_shot + self.n_query} windows in {SEPARATION[self.episode_documents]}: lower "
                "n_way or k_shot, or use more text, a larger episode_pool or a larger word_max_frequency"
            )
        return available

    def _windows(self) -> dict[str, Any]:
        return {
            "window": self.episode_window,
            "readout": self.readout,
            "rule": self.episode_documents,
            "max_frequency": self.word_max_frequency,
        }


def of_word_episodes(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings of word episodes for a model whose training had other ones.

    Settings that class episodes have in common with them by name only get their defaults.
    """
    if settings.get("readout") != CLASS_READOUT:
        return settings
    defaults = {f.name: f.default for f in fields(EpisodeConfig)}
    usual = {name: defaults[name] for name in ("meta_algorithm", "inner_steps", "inner_lr")}
    return settings | usual | {"readout": "previous"}
