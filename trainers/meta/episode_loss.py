"""From the states of an episode to its loss: adapt the head on the support set, judge it on the query set."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from .inner_loop import MetaHead, Weights, adapt_head, prototype_logits, prototype_start

ALGORITHMS = ("maml", "proto-maml", "protonet")
Metrics = dict[str, tuple[Tensor, int]]


@dataclass(frozen=True)
class InnerLoop:
    """How a head is adapted.

    Attributes:
        algorithm: `maml` starts from the head's own weights; `proto-maml` with class prototypes for its last layer;
            `protonet` stays at the prototypes (Snell et al. 2017; Li and Zhang 2021 interleave it).
        steps: T, SGD steps (none with `protonet`).
        lr: alpha, where the head has not learned its own.
        first_order: see `inner_loop`.
    """

    algorithm: str = "maml"
    steps: int = 10
    lr: float = 0.5
    first_order: bool = True

    @property
    def needs_support_gradient(self) -> bool:
        """Whether the query loss reaches the support features."""
        return self.algorithm != "maml" or not self.first_order

    def start(self, head: MetaHead, features: Tensor, labels: Tensor) -> Weights:
        """phi_0 for a support set: (M, D) features and (M,) labels."""
        return head.weights() if self.algorithm == "maml" else prototype_start(head, features, labels)

    def steps_taken(self) -> int:
        """T of the algorithm."""
        return 0 if self.algorithm == "protonet" else self.steps


def episode_loss(
    head: MetaHead,
    inner: InnerLoop,
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    query_labels: Tensor,
    generator: torch.Generator | None,
) -> tuple[Tensor, Metrics]:
    """The outer loss of one episode.

    Args:
        head: phi_0.
        inner: how it is adapted.
        support: (M, D) features in fp32.
        support_labels: (M,).
        query: (P, D) features in fp32.
        query_labels: (P,).
        generator: source of the head's dropout; None drops nothing.

    Returns:
        The query cross-entropy in nats, and for each metric a sum and a count (see `EpisodeOutput`).
    """
    start = inner.start(head, support, support_labels)
    rates = head.learning_rates(inner.lr)
    steps = inner.steps_taken()
    fast = adapt_head(
        head, support, support_labels, steps, rates, generator, first_order=inner.first_order, start=start
    )
    loss = F.cross_entropy(functional_call(head, fast, (query, generator)), query_labels)
    with torch.no_grad():
        ways = len(start[f"{head.output_layer}.bias"])
        right = {
            "query_accuracy_before": _right(functional_call(head, start, (query,)), query_labels),
            "query_accuracy": _right(functional_call(head, fast, (query,)), query_labels),
            "prototype_accuracy": _right(prototype_logits(query, support, support_labels, ways), query_labels),
            "class_0_share": query_labels.eq(0).sum(),
            "query_loss": loss * len(query_labels),
        }
        right["adaptation_gain"] = right["query_accuracy"] - right["query_accuracy_before"]
        on_support = {
            "support_accuracy": _right(functional_call(head, fast, (support,)), support_labels),
            "support_class_0_share": support_labels.eq(0).sum(),
        }
        adapted = torch.cat([weight.flatten() for weight in fast.values() if weight.ndim > 1]).norm()
    metrics: Metrics = {name: (total, len(query_labels)) for name, total in right.items()}
    metrics["head_weight_norm_adapted"] = (adapted, 1)
    return loss, metrics | {name: (total, len(support_labels)) for name, total in on_support.items()}


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.argmax(-1).eq(labels).sum()
