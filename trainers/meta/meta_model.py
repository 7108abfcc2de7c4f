"""The model that is trained: a Pico language model that also holds the head of the episodes."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import initialization as init
from transformers.utils import ModelOutput

from ...modeling_pico import PicoConfig, PicoForCausalLM
from ...modeling_pico.loss_pico import next_token_loss
from ..episodes import Episode, Examples
from ..process_group import rank, world_size
from .episode_loss import InnerLoop, episode_loss
from .inner_loop import MetaHead, MetaHeadLayer

FOMAML = InnerLoop()


class Objectives:
    """The parts that a loss is the sum of, by name, as they are weighted in it.

    No container that DDP looks into: it would tie the graphs of all tensors it finds in an output together.
    """

    def __init__(self, losses: dict[str, Tensor]) -> None:
        self.losses = losses


@dataclass
class EpisodeOutput(ModelOutput):
    """What a micro-batch with an episode gives.

    Attributes:
        loss: what to minimise: the weighted query loss, the same on every rank, plus the next-token loss of this
            rank's rows where there is one.
        next_token_loss: mean cross-entropy in nats a token of this rank's rows, or None.
        objectives: the parts that `loss` is the sum of: `next_token`, `query` or both.
        states: (B, T, D) last hidden states of `input_ids`, detached, or None.
        metrics: for each name a sum and the number of things it is over, the same on every rank: `query_loss`,
            `query_accuracy_before` (with phi_0), `query_accuracy` (with phi_T), `adaptation_gain` (their
            difference), `prototype_accuracy` (nearest class prototype, no head), `support_accuracy` (with phi_T),
            `class_0_share` and `support_class_0_share` (labels in class 0: what always answering 0 would score),
            `head_weight_norm_adapted` (2-norm of the weight matrices phi_T, without biases).
    """

    loss: Tensor | None = None
    next_token_loss: Tensor | None = None
    objectives: Objectives | None = None
    states: Tensor | None = None
    metrics: dict[str, tuple[Tensor, int]] | None = None


class PicoForMetaCausalLM(PicoForCausalLM):
    """`PicoForCausalLM` plus `meta_head`; checkpoints of it load as any Pico class.

    `config.meta_head` holds the arguments of `MetaHead` beside the width.
    """

    # A step mixes objectives, so each micro-batch is a mean and the Trainer divides by their number.
    accepts_loss_kwargs = False
    _keys_to_ignore_on_load_unexpected = []  # noqa: RUF012 (here every key is expected)

    def __init__(self, config: PicoConfig) -> None:
        super().__init__(config)
        self.meta_head = MetaHead(config.d_model, **config.meta_head)
        self.post_init()

    @classmethod
    def from_causal_lm(cls, model: PicoForCausalLM, seed: int, **head: Any) -> "PicoForMetaCausalLM":
        """Put a new head beside a language model, whose weights are shared, not copied.

        Args:
            model: the language model.
            seed: of the head's initialisation; the global random state is left alone.
            head: arguments of `MetaHead` beside the width.
        """
        model.config.meta_head = head
        with torch.device("meta"):
            meta = cls(model.config)
        meta.pico_decoder, meta.de_embedding_proj = model.pico_decoder, model.de_embedding_proj
        meta.generation_config = model.generation_config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            meta.meta_head = MetaHead(model.config.d_model, **head).apply(meta._init_weights).to(model.device)
        return meta

    def _init_weights(self, module: torch.nn.Module) -> None:
        if isinstance(module, MetaHeadLayer):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, MetaHead):
            module.reset_inner_lr()
        else:
            super()._init_weights(module)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save as `PicoForCausalLM`, the class other programs should load; the head's weights stay in the file."""
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            config = copy.deepcopy(self.config)
            # The Trainer turns the cache off while it trains; who loads the model wants it.
            config.architectures, config.use_cache = [PicoForCausalLM.__name__], True
            config.save_pretrained(save_directory)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        episode: Episode | None = None,
        shift_labels: Tensor | None = None,
        inner: InnerLoop = FOMAML,
        query_weight: float = 1.0,
        dropout_seed: int | None = None,
        support_features: Tensor | None = None,
        keep_states: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Next-token prediction (see `PicoForCausalLM.forward`), an episode, or both at once.

        The episode is the same on every rank; each encodes its share of the rows.

        Args:
            input_ids: (B, T) this rank's rows; None for an episode alone.
            shift_labels: (B, T) the tokens that follow; None for no next-token loss.
            episode: the task, on the device of the model.
            inner: how the head is adapted.
            query_weight: of the query loss.
            dropout_seed: seeds the head's dropout, the same on every rank; None drops nothing.
            support_features: (M, D) states of the support examples, computed before. Then the query examples lie in
                the rows of all ranks' `input_ids`, rank after rank, and their states are those of this pass.
            keep_states: return the states of `input_ids`.

        Returns:
            An `EpisodeOutput` where an episode or states are asked for.
        """
        if episode is None and not keep_states:
            return super().forward(input_ids, attention_mask, position_ids, shift_labels=shift_labels, **kwargs)
        states = next_token = None
        if input_ids is not None:
            states = self.pico_decoder(input_ids, attention_mask, position_ids, use_cache=False).last_hidden_state
            if shift_labels is not None:
                next_token = next_token_loss(states, self.de_embedding_proj, shift_labels)
        output = EpisodeOutput(
            loss=next_token,
            next_token_loss=None if next_token is None else next_token.detach(),
            objectives=None if next_token is None else Objectives({"next_token": next_token}),
            states=states.detach() if keep_states and states is not None else None,
        )
        if episode is None:
            return output
        if support_features is None:
            support, query = self.encode(episode, inner.needs_support_gradient)
        elif states is not None:
            support, query = support_features, on_all_ranks(read_states(states, episode.query, rank() * len(states)))
        else:
            raise ValueError("support_features are for episodes in input_ids, which are missing")
        # The head is a few small matrices: full precision costs nothing and keeps large inner steps exact.
        with torch.autocast(support.device.type, enabled=False):
            query_loss, output.metrics = episode_loss(
                self.meta_head,
                inner,
                support,
                episode.support.labels,
                query,
                episode.query.labels,
                None if dropout_seed is None else torch.Generator(support.device).manual_seed(dropout_seed),
            )
        weighted = query_weight * query_loss
        output.objectives = Objectives(
            {"query": weighted} | ({} if next_token is None else {"next_token": next_token})
        )
        output.loss = weighted if next_token is None else next_token + weighted
        return output

    def encode(self, episode: Episode, support_gradient: bool) -> tuple[Tensor, Tensor]:
        """Encode an episode, each rank its share of rows: (M, D) support and (P, D) query states, on every rank."""
        shots = len(episode.support)
        if support_gradient:
            # One pass for both sets, whose rows have the same length.
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
        # Rows past the end fill up the last shares; no example reads them.
        states = self.pico_decoder(examples.ids[rows % len(examples.ids)], use_cache=False).last_hidden_state
        return read_states(states, examples, rank() * share)


def join(first: Examples, second: Examples) -> Examples:
    """The examples of both, in this order."""
    return Examples(
        torch.cat([first.ids, second.ids]),
        torch.cat([first.rows, second.rows + len(first.ids)]),
        torch.cat([first.positions, second.positions]),
        torch.cat([first.labels, second.labels]),
    )


def read_states(states: Tensor, examples: Examples, first_row: int) -> Tensor:
    """The states of the examples that lie in given rows.

    Args:
        states: (B, T, D) of rows first_row, ..., first_row + B - 1.
        examples: M of them.

    Returns:
        (M, D) in fp32, zero where the row is another.
    """
    local = examples.rows - first_row
    mine = (local >= 0) & (local < len(states))
    # Shapes that do not depend on the data: no synchronisation with the GPU.
    read = states[local.clamp(0, len(states) - 1), examples.positions].float()
    return torch.where(mine[:, None], read, 0)


def on_all_ranks(local: Tensor) -> Tensor:
    """The sum over ranks of (M, D) states, each filled by one rank, whole on every rank.

    Every rank then computes the same loss, and its gradient reaches the rows that this rank filled, times the number
    of ranks, because the ranks' gradients are averaged afterwards. Nothing is communicated in the backward pass, where
    it could get in the way of DDP's own reductions.
    """
    if world_size() == 1:
        return local
    total = local.detach().clone()
    dist.all_reduce(total)
    return total + world_size() * (local - local.detach())
