"""Fixed text on which the gradients of both objectives are measured."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...trainers.corpus import Words, load_words, mask_id
from ...trainers.episodes import Episode, Examples, episode_generator
from ...trainers.meta.episode_config import EpisodeConfig
from ...trainers.meta.episode_loss import InnerLoop
from ...trainers.meta.episode_model import EpisodeModel, read_states
from ...trainers.meta.gradients import Loss, next_token_losses
from ...trainers.runs.folder import EARLIER
from .class_probe import ProbedClasses

logger = logging.getLogger(__name__)

# The rank of a gradient is at most the number of tokens it is summed over.
TOKENS_PER_DIMENSION = 4
PREFIX = "gradient_probe/"


@dataclass(frozen=True)
class QueryObjective:
    """The query loss that a model is trained with."""

    config: EpisodeConfig
    inner: InnerLoop
    mask_id: int
    words: Words  #: the classes of training episodes

    @classmethod
    def of_model(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> "QueryObjective | None":
        """Return the query loss by the configuration of a model; None if it has no head or saw no word episode."""
        own = EARLIER | (model.config.to_dict().get("episode") or {})
        if not own.get("hybrid_ratio") or not isinstance(model, EpisodeModel) or not model.head_tells_words:
            return None
        known = {f.name for f in fields(EpisodeConfig)}
        config = EpisodeConfig(**{name: value for name, value in own.items() if name in known})
        # Checkpoints of earlier versions do not say whether gradients were exact.
        inner = replace(config.inner_loop(), first_order=own.get("first_order", True))
        words = load_words(tokenizer, model.config.vocab_size, config.held_out_rule)
        return cls(config, inner, mask_id(tokenizer), words.split(config.held_out_words)[0])

    def draw(self, width: int, blocks: Tensor, documents: Tensor | None = None) -> list[Episode]:
        """Draw the same episodes from the same blocks (R, T) and document numbers (R, T); none with too few words.

        The query windows hold at least four tokens for each of `width` dimensions.
        """
        episodes: list[Episode] = []
        while sum(episode.query.ids.numel() for episode in episodes) < TOKENS_PER_DIMENSION * width:
            generator = episode_generator(0, len(episodes), 0)
            episode = self.config.sample(blocks, self.mask_id, self.words, generator, documents)
            if episode is None:
                logger.warning(
                    f"{len(blocks)} blocks of held-out text have too few words for episodes with n_way "
                    f"{self.config.n_way} and k_shot {self.config.k_shot}: gradients of the query loss are not "
                    "measured; raise eval_blocks or eval_fraction"
                )
                return []
            episodes.append(episode)
        return episodes


@dataclass(frozen=True)
class GradientProbe:
    """Text of the next-token loss, and episodes of the query loss."""

    blocks: Tensor  #: (R, T + 1) token ids
    episodes: Sequence[Episode | ProbedClasses] = ()

    def losses(self, inner: InnerLoop | None) -> dict[str, list[Loss]]:
        """Return functions of the model by objective; their sum is the mean loss (nats), without dropout.

        `inner` is the inner loop of the query loss; None for next-token loss alone.
        """
        ids, targets = self.blocks[:, :-1], self.blocks[:, 1:].contiguous()
        losses = {"next_token": next_token_losses(ids, targets)}
        if self.episodes and inner is not None:
            share = 1 / len(self.episodes)
            losses["query"] = [partial(_query_loss, episode=e, inner=inner, share=share) for e in self.episodes]
        return losses

    def tensors(self) -> dict[str, Tensor]:
        """Return the probe as named tensors, for a checkpoint."""
        tensors = {f"{PREFIX}blocks": self.blocks}
        for i, episode in enumerate(self.episodes):
            if isinstance(episode, ProbedClasses):
                tensors |= {f"{PREFIX}{i}/{name}": tensor for name, tensor in episode.tensors().items()}
                continue
            tensors[f"{PREFIX}{i}/words"] = episode.words
            for part in ("support", "query"):
                values = vars(episode)[part]
                tensors |= {f"{PREFIX}{i}/{part}/{f.name}": vars(values)[f.name] for f in fields(Examples)}
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "GradientProbe | None":
        """Restore what `tensors` returned; None if there is no probe among the tensors."""
        if f"{PREFIX}blocks" not in tensors:
            return None
        episodes: list[Episode | ProbedClasses] = []
        while f"{PREFIX}{len(episodes)}/words" in tensors:
            own = f"{PREFIX}{len(episodes)}/"
            if f"{own}classes" in tensors:
                parts = {name.removeprefix(own): part for name, part in tensors.items() if name.startswith(own)}
                episodes.append(ProbedClasses.from_tensors(parts))
                continue
            support, query = (
                Examples(**{f.name: tensors[f"{own}{part}/{f.name}"] for f in fields(Examples)})
                for part in ("support", "query")
            )
            episodes.append(Episode(support, query, tensors[f"{own}words"]))
        return cls(tensors[f"{PREFIX}blocks"], episodes)


def first_blocks(held_out: Tensor, width: int) -> Tensor:
    """Return as many of the first blocks (R, T + 1) as hold four predicted tokens for each of `width` dimensions."""
    tokens = TOKENS_PER_DIMENSION * width
    blocks = held_out[: -(-tokens // (held_out.shape[1] - 1))]
    if blocks[:, 1:].numel() < tokens:
        logger.warning(
            f"the held-out text has {blocks[:, 1:].numel()} tokens, fewer than {TOKENS_PER_DIMENSION} times the width "
            f"{width} of the model: this bounds the rank of next-token gradients; raise eval_blocks or eval_fraction"
        )
    return blocks


def _query_loss(model: EpisodeModel, episode: Episode | ProbedClasses, inner: InnerLoop, share: float) -> Tensor:
    if isinstance(episode, ProbedClasses):
        return episode.loss(model, inner, share)
    episode = episode.to(model.device)
    with torch.set_grad_enabled(inner.needs_support_gradient):
        support = _encode(model, episode.support)
    return share * model.query_loss(episode, support, _encode(model, episode.query), inner, None)[0]


def _encode(model: EpisodeModel, examples: Examples) -> Tensor:
    return read_states(model.layer_states(examples.ids), examples, 0)
