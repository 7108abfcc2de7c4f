"""What every model that trains with episodes has: a head, and the losses of a micro-batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers.utils import ModelOutput

from ..class_episodes.episode import ClassEpisode
from ..class_episodes.loss import Memory, class_episode_loss
from ..episodes import Episode, Examples
from ..process_group import rank, world_size
from .episode_loss import InnerLoop, Metrics, episode_loss
from .inner_loop import MetaHead

FOMAML = InnerLoop()


class Encoded(NamedTuple):
    """A next-token pass over (B, T) token ids."""

    last: Tensor  #: (B, T, D) last hidden states, with the decoder's last norm
    layers: tuple[Tensor, ...] | None  #: of these the hidden states (B, T, D): embedding, layer 1, ...
    loss: Tensor | None  #: mean cross-entropy in nats a token
    row_losses: Tensor | None = None  #: (B,) that of each row, detached


@dataclass
class EpisodeOutput(ModelOutput):
    """Losses and metrics of a micro-batch with an episode.

    Attributes:
        loss: the next-token loss of this rank's rows, if any, plus the weighted query loss, which is the same on
            every rank.
        next_token_loss: mean cross-entropy in nats a token of this rank's rows, or None.
        states: (B, T, D) last hidden states of `input_ids`, detached, or None.
        metrics: a sum and a count for each name, the same on every rank: `query_loss`, `query_accuracy_before` (with
            phi_0), `query_accuracy` (with phi_T), `adaptation_gain` (their difference), `prototype_accuracy` (nearest
            class prototype, no head), `support_accuracy` (with phi_T), `class_0_share` and `support_class_0_share`
            (share of labels 0, the score of always answering 0), `head_weight_norm_adapted` (2-norm of the weight
            matrices of phi_T, without biases). Class episodes have `query_loss`, `query_accuracy` and
            `largest_class_share` (share of the queries' most frequent class, the score of always answering it),
            and with an inner loop `query_accuracy_before`, `adaptation_gain` and `head_weight_norm_adapted`.
        memory: (2, C, W) sums of the memory after a class episode, or None.
        row_losses: (B,) next-token loss of each of this rank's rows, detached, or None.
    """

    loss: Tensor | None = None
    next_token_loss: Tensor | None = None
    states: Tensor | None = None
    metrics: Metrics | None = None
    memory: Tensor | None = None
    row_losses: Tensor | None = None


class EpisodeModel(nn.Module, ABC):
    """A language model with `meta_head`, whose arguments but the width are in `config.meta_head`.

    A class of its own says how its decoder is called: `backbone`, `encode_text` and `next_token`.
    """

    # A step mixes objectives: each micro-batch is a mean and the Trainer divides by their number.
    accepts_loss_kwargs = False
    config: Any
    meta_head: MetaHead

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The decoder without an LM head, from token ids to normalised last hidden states."""

    @abstractmethod
    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        shift_labels: Tensor | None,
        every_layer: bool,
        by_row: bool,
    ) -> Encoded:
        """Encode (B, T) token ids, on request with the states of every layer.

        With `shift_labels`, the (B, T) tokens that follow, also compute the next-token loss, on request also by row.
        """

    @abstractmethod
    def next_token(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, position_ids: Tensor | None, **kwargs: Any
    ) -> Any:
        """Return the output of the language model alone, with `loss` if the arguments have `shift_labels`."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        episode: Episode | ClassEpisode | None = None,
        shift_labels: Tensor | None = None,
        inner: InnerLoop = FOMAML,
        query_weight: float = 1.0,
        dropout_seed: int | None = None,
        support_features: Tensor | None = None,
        keep_states: bool = False,
        by_row: bool = False,
        class_layer: int = 0,
        memory: Memory | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute the next-token loss (see `next_token`), the loss of an episode, or both.

        The episode is the same on every rank; each rank encodes its share of the rows.

        Args:
            input_ids: (B, T) this rank's rows; None for an episode alone.
            shift_labels: (B, T) the tokens that follow; None for no next-token loss.
            episode: the episode, on the device of the model.
            inner: the inner loop.
            query_weight: weight of the query loss.
            dropout_seed: seed of the head's dropout, the same on every rank; None for no dropout.
            support_features: (M, D) states of the support examples from earlier passes. The query examples then lie
                in the rows of all ranks' `input_ids`, rank after rank, and are read from the states of this pass.
            keep_states: return the states of `input_ids`.
            by_row: return the next-token loss of each row; `shift_labels` then has a target everywhere.
            class_layer: whose states a class episode reads, from 1; 0 is the last one with its norm.
            memory: that of class episodes whose support comes from one.

        Returns:
            An `EpisodeOutput` with `episode`, `keep_states` or `by_row`, else the output of `next_token`.
        """
        if episode is None and not keep_states and not by_row:
            return self.next_token(input_ids, attention_mask, position_ids, shift_labels=shift_labels, **kwargs)
        output, losses, encoded = EpisodeOutput(), [], None
        if input_ids is not None:
            middle = isinstance(episode, ClassEpisode) and class_layer > 0
            encoded = self.encode_text(input_ids, attention_mask, position_ids, shift_labels, middle, by_row)
            output.states = encoded.last.detach() if keep_states else None
            if encoded.loss is not None:
                losses.append(encoded.loss)
                output.next_token_loss = encoded.loss.detach()
                output.row_losses = encoded.row_losses
        if isinstance(episode, ClassEpisode):
            features = self.class_features(episode, encoded, class_layer)
            query_loss, output.metrics, output.memory = self.class_loss(episode, features, inner, memory)
            losses.append(query_weight * query_loss)
        elif episode is not None:
            support, query = self.support_and_query(episode, encoded, support_features, inner)
            query_loss, output.metrics = self.query_loss(episode, support, query, inner, dropout_seed)
            losses.append(query_weight * query_loss)
        output.loss = reduce(torch.add, losses) if losses else None
        return output

    def layer_states(self, input_ids: Tensor, layer: int = 0) -> Tensor:
        """Return (B, T, D) states of token ids (B, T), of a layer from 1; 0 is the last one with its norm."""
        encoded = self.backbone(input_ids, use_cache=False, output_hidden_states=layer > 0)
        return encoded.hidden_states[layer] if layer else encoded.last_hidden_state

    def class_features(self, episode: ClassEpisode, encoded: Encoded | None, class_layer: int) -> Tensor:
        """Return the projected states (M, W) of a class episode, complete on every rank, from this pass."""
        if encoded is None:
            raise ValueError("a class episode needs input_ids: its states lie in their rows")
        states = encoded.layers[class_layer] if class_layer and encoded.layers else encoded.last
        # Projected first, which makes the all-reduce smaller.
        return on_all_ranks(self.project(read_states(states, episode, rank() * len(states))))

    def support_and_query(
        self,
        episode: Episode,
        encoded: Encoded | None,
        support_features: Tensor | None,
        inner: InnerLoop,
    ) -> tuple[Tensor, Tensor]:
        """Return support (M, D) and query (P, D) states, complete on every rank; see `forward`."""
        if support_features is None:
            return self.encode(episode, inner.needs_support_gradient)
        if encoded is None:
            raise ValueError("support_features need input_ids: the query examples lie in their rows")
        states = encoded.last
        return support_features, on_all_ranks(read_states(states, episode.query, rank() * len(states)))

    @property
    def head_tells_words(self) -> bool:
        """True when the head classifies hidden words, False when it tells classes of words."""
        return "projection" not in self.config.meta_head

    def query_loss(
        self, episode: Episode, support: Tensor, query: Tensor, inner: InnerLoop, dropout_seed: int | None
    ) -> tuple[Tensor, Metrics]:
        """Return `episode_loss` of states (M, D) and (P, D), in fp32: the head is small and inner steps are large."""
        generator = None if dropout_seed is None else torch.Generator(support.device).manual_seed(dropout_seed)
        with torch.autocast(support.device.type, enabled=False):
            return episode_loss(
                self.meta_head,
                inner,
                support,
                episode.support.labels,
                query,
                episode.query.labels,
                generator,
                episode.ways,
            )

    def class_loss(
        self, episode: ClassEpisode, features: Tensor, inner: InnerLoop, memory: Memory | None
    ) -> tuple[Tensor, Metrics, Tensor | None]:
        """Return `class_episode_loss` of projected states (M, W) in fp32."""
        with torch.autocast(features.device.type, enabled=False):
            return class_episode_loss(self.meta_head, inner, episode, features, memory)

    def project(self, states: Tensor) -> Tensor:
        """(M, D) states to the (M, W) features of class episodes, in fp32."""
        with torch.autocast(states.device.type, enabled=False):
            return self.meta_head.project(states)

    def encode(self, episode: Episode, support_gradient: bool) -> tuple[Tensor, Tensor]:
        """Encode an episode, each rank its share: support (M, D) and query (P, D) states, complete on every rank."""
        shots = len(episode.support)
        if support_gradient:
            # Rows of both sets have the same length, so one pass encodes both.
            both = on_all_ranks(self.encode_share(join(episode.support, episode.query)))
            return both[:shots], both[shots:]
        with torch.no_grad():
            support = self.encode_share(episode.support)
        both = on_all_ranks(torch.cat([support, self.encode_share(episode.query)]))
        return both[:shots].detach(), both[shots:]

    def encode_share(self, examples: Examples) -> Tensor:
        """Encode this rank's share of the rows, the same number on every rank; see `read_states`."""
        share = -(-len(examples.ids) // world_size())
        rows = torch.arange(rank() * share, (rank() + 1) * share, device=examples.ids.device)
        # The last shares are filled up with rows that no example reads.
        states = self.backbone(examples.ids[rows % len(examples.ids)], use_cache=False).last_hidden_state
        return read_states(states, examples, rank() * share)


def join(first: Examples, second: Examples) -> Examples:
    """Concatenate two sets of examples."""
    return Examples(
        torch.cat([first.ids, second.ids]),
        torch.cat([first.rows, second.rows + len(first.ids)]),
        torch.cat([first.positions, second.positions]),
        torch.cat([first.labels, second.labels]),
        torch.cat([first.documents, second.documents]),
    )


def read_states(states: Tensor, examples: Examples | ClassEpisode, first_row: int) -> Tensor:
    """Read the states of M examples: (M, D) in fp32, zero for examples in other rows.

    Args:
        states: (B, T, D) of rows first_row, ..., first_row + B - 1.
        examples: where to read.
        first_row: number of the first row of `states`.
    """
    local = examples.rows - first_row
    mine = (local >= 0) & (local < len(states))
    # The shapes do not depend on the data, so nothing waits for the GPU.
    read = states[local.clamp(0, len(states) - 1), examples.positions].float()
    return torch.where(mine[:, None], read, 0)


def on_all_ranks(local: Tensor) -> Tensor:
    """All-reduce (M, D) states: each rank fills its own rows, every rank gets all of them.

    Every rank then computes the same loss. Its gradient reaches only the rows of the own rank, times the number of
    ranks, because gradients are averaged over ranks afterwards. The backward pass has no communication, which could
    interfere with DDP's reductions.
    """
    if world_size() == 1:
        return local
    total = local.detach().clone()
    dist.all_reduce(total)
    return total + world_size() * (local - local.detach())
