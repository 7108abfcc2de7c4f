"""The model that is trained: a Pico language model that also holds the head of the episodes."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import gather
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import ModelOutput

from ..modeling_pico import PicoConfig, PicoForCausalLM
from .episodes import Episode
from .inner_loop import MetaHead, MetaHeadLayer, adapt_head, first_order, prototype_logits


@dataclass
class EpisodeOutput(ModelOutput):
    """What an episode gives.

    Attributes:
        loss: query cross-entropy in nats after adaptation; averaged over ranks it is the mean over the query set.
        metrics: for each name a sum and the number of windows it is over, of this rank's share: `query_loss`,
            `query_accuracy_before` (with phi_0), `query_accuracy` (with phi_T), `adaptation_gain` (their
            difference), `prototype_accuracy` (nearest class prototype, no head) and `support_accuracy` (with phi_T).
    """

    loss: Tensor | None = None
    metrics: dict[str, tuple[Tensor, Tensor]] | None = None


class PicoForMetaCausalLM(PicoForCausalLM):
    """`PicoForCausalLM` plus `meta_head`; checkpoints of it load as any Pico class.

    `config.meta_head` holds the arguments of `MetaHead`: ways, layers, hidden_dim, dropout.
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
            head: ways, layers, hidden_dim and dropout of `MetaHead`.
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

    def features(self, ids: Tensor, positions: Tensor) -> Tensor:
        """(M, L) windows and (M,) positions to the hidden states (M, D) at the positions, in fp32."""
        hidden = self.pico_decoder(ids, use_cache=False).last_hidden_state
        return hidden[torch.arange(len(ids), device=ids.device), positions].float()

    def forward(
        self,
        input_ids: Tensor | None = None,
        episode: Episode | None = None,
        inner_steps: int = 10,
        inner_lr: float = 0.5,
        dropout_seed: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Next-token prediction (see `PicoForCausalLM.forward`), or an episode where one is given.

        The episode is the same on every rank; each encodes its share of the rows.

        Args:
            episode: the task, on the device of the model.
            inner_steps, inner_lr: of the inner loop.
            dropout_seed: seeds the head's dropout, the same on every rank; None drops nothing.

        Returns:
            An `EpisodeOutput`.
        """
        if episode is None:
            return super().forward(input_ids=input_ids, **kwargs)
        generator = None
        if dropout_seed is not None:
            generator = torch.Generator(episode.support_ids.device).manual_seed(dropout_seed)

        mine, _ = shard(len(episode.support_ids), episode.support_ids.device)
        with torch.no_grad():
            local = self.features(episode.support_ids[mine], episode.support_positions[mine])
            support = gather(local)[: len(episode.support_ids)]
        mine, counts = shard(len(episode.query_ids), episode.query_ids.device)
        query = self.features(episode.query_ids[mine], episode.query_positions[mine])
        labels = episode.query_labels[mine]

        # The head is a few small matrices: full precision costs nothing and keeps large inner steps exact.
        with torch.autocast(query.device.type, enabled=False):
            fast = adapt_head(self.meta_head, support, episode.support_labels, inner_steps, inner_lr, generator)
            # Over all query rows, of which only this rank's are filled: the same units are dropped as on one process.
            rows = query.new_zeros(len(episode.query_ids), query.shape[-1]).index_copy(0, mine, query)
            logits = functional_call(self.meta_head, first_order(self.meta_head, fast), (rows, generator))[mine]
            losses = F.cross_entropy(logits, labels, reduction="none") * counts
            with torch.no_grad():
                after = functional_call(self.meta_head, fast, (query,))
                on_support = functional_call(self.meta_head, fast, (support,))
                prototypes = prototype_logits(query, support, episode.support_labels, len(episode.words))
                before = self.meta_head(query)
        share = counts.sum()
        right = [(scores.argmax(-1).eq(labels) * counts).sum() for scores in (before, after, prototypes)]
        on_support_right = on_support.argmax(-1).eq(episode.support_labels).sum()
        return EpisodeOutput(
            loss=losses.sum() * world_size() / len(episode.query_ids),
            metrics={
                "query_loss": (losses.sum().detach(), share),
                "query_accuracy_before": (right[0], share),
                "query_accuracy": (right[1], share),
                "adaptation_gain": (right[1] - right[0], share),
                "prototype_accuracy": (right[2], share),
                "support_accuracy": (on_support_right, torch.full_like(share, len(support))),
            },
        )


def world_size() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shard(rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """This rank's share of `rows` rows, the same number on every rank.

    Returns:
        Row indices, and a weight for each: 1, or 0 for a row that only fills up the last shares.
    """
    share = -(-rows // world_size())
    rank = dist.get_rank() if dist.is_initialized() else 0
    indices = torch.arange(rank * share, (rank + 1) * share, device=device)
    return indices % rows, (indices < rows).float()
