"""The loss of an episode: adapt the head on the support states, then take its cross-entropy on the query states."""

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
    """Where a head starts from and how many SGD steps it takes.

    Attributes:
        algorithm: `maml` starts from the head's own weights; `proto-maml` sets its last layer to class prototypes
            first (Triantafillou et al. 2020); `protonet` takes no step from there (Snell et al. 2017). Class
            episodes have `direct` too: the head's own weights and no step.
        steps: T, SGD steps.
        lr: alpha, unless the head learned its own.
        first_order: see `inner_loop`.
    """

    algorithm: str = "maml"
    steps: int = 10
    lr: float = 0.5
    first_order: bool = True

    @property
    def needs_support_gradient(self) -> bool:
        """True when the query loss has a gradient for the support features."""
        return self.algorithm != "maml" or not self.first_order

    def start(self, head: MetaHead, features: Tensor, labels: Tensor) -> Weights:
        """Return phi_0 for a support set: features (M, D) and labels (M,)."""
        return head.weights() if self.algorithm == "maml" else prototype_start(head, features, labels)

    def steps_taken(self) -> int:
        """T, which is 0 for `protonet` and `direct`."""
        return 0 if self.algorithm in ("protonet", "direct") else self.steps


def episode_loss(
    head: MetaHead,
    inner: InnerLoop,
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    query_labels: Tensor,
    generator: torch.Generator | None,
    ways: int | None = None,
) -> tuple[Tensor, Metrics]:
    """Return the query cross-entropy in nats, and for each metric a sum and a count (see `EpisodeOutput`).

    Args:
        head: its weights are phi_0, unless prototypes replace the last layer.
        inner: the inner loop.
        support: (M, D) features in fp32.
        support_labels: (M,).
        query: (P, D) features in fp32.
        query_labels: (P,).
        generator: source of the head's dropout; None for no dropout.
        ways: how many outputs of the head are classes, the first ones; None for all.
    """
    start = head.first_outputs(inner.start(head, support, support_labels), ways)
    rates, steps = head.learning_rates(inner.lr), inner.steps_taken()
    fast = adapt_head(
        head, support, support_labels, steps, rates, generator, first_order=inner.first_order, start=start
    )
    loss = F.cross_entropy(functional_call(head, fast, (query, generator)), query_labels)
    with torch.no_grad():
        ways = len(start[f"{head.output_layer}.bias"])
        on_query = {
            "query_accuracy_before": _correct(functional_call(head, start, (query,)), query_labels),
            "query_accuracy": _correct(functional_call(head, fast, (query,)), query_labels),
            "prototype_accuracy": _correct(prototype_logits(query, support, support_labels, ways), query_labels),
            "class_0_share": query_labels.eq(0).sum(),
            "query_loss": loss * len(query_labels),
        }
        on_query["adaptation_gain"] = on_query["query_accuracy"] - on_query["query_accuracy_before"]
        on_support = {
            "support_accuracy": _correct(functional_call(head, fast, (support,)), support_labels),
            "support_class_0_share": support_labels.eq(0).sum(),
        }
        norm = torch.cat([weight.flatten() for weight in fast.values() if weight.ndim > 1]).norm()
    metrics: Metrics = {name: (total, len(query_labels)) for name, total in on_query.items()}
    metrics |= {name: (total, len(support_labels)) for name, total in on_support.items()}
    return loss, metrics | {"head_weight_norm_adapted": (norm, 1)}


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.argmax(-1).eq(labels).sum()
