"""The loss of a class episode, by the head that tells the classes of its queries.

- `protonet`: nearest class prototype by cosine (Snell et al. 2017), from the other side of the batch or from a memory.
- `maml`: the head's output for each class, adapted on side 0, first order unless said otherwise (the paper's method).
- `direct`: the head's output for each class, without an inner loop: an auxiliary classifier.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ..meta.episode_loss import InnerLoop, Metrics
from ..meta.inner_loop import MetaHead, adapt_head
from .episode import ClassEpisode

# Logits are this times the cosine of a state and a prototype.
TEMPERATURE = 10.0


@dataclass(frozen=True)
class Memory:
    """Sums of projected states, each of length 1, by the side of their words and their class."""

    sums: Tensor  #: (2, C, W)
    decay: float  #: factor of the sums at each episode


def class_episode_loss(
    head: MetaHead, inner: InnerLoop, episode: ClassEpisode, features: Tensor, memory: Memory | None
) -> tuple[Tensor, Metrics, Tensor | None]:
    """Return the queries' mean cross-entropy in nats, a sum and a count for each metric, and the memory's new sums.

    Args:
        head: its weights are phi_0; prototypes need its projection alone.
        inner: the algorithm and its inner loop.
        episode: M states.
        features: (M, W) their projections, in fp32.
        memory: for prototypes from a memory; its sums get no gradient.
    """
    if inner.algorithm == "protonet":
        return _prototype_loss(episode, features, memory)
    start = fast = head.weights()
    if inner.algorithm == "maml":
        support, labels = features[: episode.border], episode.classes[: episode.border]
        rates = head.learning_rates(inner.lr)
        fast = adapt_head(head, support, labels, inner.steps, rates, first_order=inner.first_order)
    loss, metrics = _cross_entropy(functional_call(head, fast, (features,)), episode)
    if inner.algorithm == "maml":
        with torch.no_grad():
            before, queries = _correct(functional_call(head, start, (features,)), episode)
            metrics["query_accuracy_before"] = before, queries
            metrics["adaptation_gain"] = metrics["query_accuracy"][0] - before, queries
            metrics["head_weight_norm_adapted"] = fast[f"{head.output_layer}.weight"].norm(), 1
    return loss, metrics, None


def _prototype_loss(
    episode: ClassEpisode, features: Tensor, memory: Memory | None
) -> tuple[Tensor, Metrics, Tensor | None]:
    """Each side's queries are compared with the prototypes of the other side."""
    states = F.normalize(features, dim=-1)
    sides = (torch.arange(len(episode), device=features.device) >= episode.border).long()
    sums = add_up(states, sides, episode.classes, episode.known.shape[1])
    if memory is not None:
        sums = memory.decay * memory.sums + sums
    first, second = F.normalize(sums, dim=-1)
    logits = torch.cat([states[: episode.border] @ second.T, states[episode.border :] @ first.T])
    # A finite number, because states that are not asked may have such a class.
    logits = (TEMPERATURE * logits).masked_fill(~episode.known[sides], -1e4)
    loss, metrics = _cross_entropy(logits, episode)
    if memory is None:
        return loss, metrics, None
    # An update with such states is skipped, and must not spoil the memory.
    return loss, metrics, torch.where(sums.isfinite().all(), sums, memory.sums).detach()


def add_up(states: Tensor, sides: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """Sum (M, W) states by their (M,) side and (M,) class: (2, C, W)."""
    sums = states.new_zeros(2 * n_classes, states.shape[1])
    return sums.index_add(0, sides * n_classes + classes, states).view(2, n_classes, -1)


def _cross_entropy(logits: Tensor, episode: ClassEpisode) -> tuple[Tensor, Metrics]:
    """The loss of the queries among (M, C) logits; others count 0 instead of being left out, so that no GPU waits."""
    each = F.cross_entropy(logits, episode.classes, reduction="none")
    loss = torch.where(episode.asked, each, 0).sum() / episode.queries
    metrics = {
        "query_loss": (loss.detach() * episode.queries, episode.queries),
        "query_accuracy": _correct(logits, episode),
        "largest_class_share": (loss.new_tensor(episode.largest), episode.queries),
    }
    return loss, metrics


def _correct(logits: Tensor, episode: ClassEpisode) -> tuple[Tensor, int]:
    return (logits.argmax(-1).eq(episode.classes) & episode.asked).sum(), episode.queries
