"""The inner loop: a small head adapted by SGD on frozen features (ANIL, Raghu et al. 2020).

With phi_0 the head's weights, the support set gives phi_t = phi_(t-1) - alpha * grad CE(h_phi(f(S)), y_S), t = 1..T
(Algorithm 1 of the paper, lines 12 to 16). The outer loss is CE(h_phi_T(f(Q)), y_Q). Its first-order gradient takes
d phi_T / d phi_0 for the identity (FOMAML, Finn et al. 2017); the exact one goes through the inner steps too.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from transformers import initialization as init

Weights = dict[str, Tensor]


class MetaHeadLayer(nn.Linear):
    """A linear layer of the head; its own class because it is initialised apart from the decoder's (Xavier)."""


class MetaHead(nn.Module):
    """The classifier that episodes adapt: an MLP with ReLU and dropout between its layers (Table 10 of the paper).

    Args:
        d_model: width of the features.
        ways: N, classes.
        layers: linear layers, at least 1.
        hidden_dim: width between the layers.
        dropout: share of hidden units dropped, drawn from the generator given to `forward`.
        learned_lr_steps: inner steps that have learning rates of their own, one a layer, learned with the weights
            (Meta-SGD, Li et al. 2017; per layer and step as in MAML++, Antoniou et al. 2019). 0: none.
        inner_lr: what these learning rates start from.
    """

    def __init__(
        self,
        d_model: int,
        ways: int,
        layers: int = 4,
        hidden_dim: int = 128,
        dropout: float = 0.1,
        learned_lr_steps: int = 0,
        inner_lr: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [d_model, *[hidden_dim] * (layers - 1), ways]
        self.layers = nn.ModuleList(MetaHeadLayer(n, m) for n, m in pairwise(widths))
        self.dropout = dropout
        self.initial_lr = inner_lr
        # Their logarithms, so that they stay positive and change by factors.
        self.log_inner_lr = nn.Parameter(torch.empty(learned_lr_steps, layers)) if learned_lr_steps else None
        self.reset_inner_lr()

    def reset_inner_lr(self) -> None:
        """Set the learned learning rates to where they start."""
        if self.log_inner_lr is not None:
            init.constant_(self.log_inner_lr, math.log(self.initial_lr))

    @property
    def output_layer(self) -> str:
        """Name of the last layer, whose rows are the classes."""
        return f"layers.{len(self.layers) - 1}"

    def hidden(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(M, D) features to the (M, H) input of the last layer."""
        for i in range(len(self.layers) - 1):
            features = F.relu(self._linear(i, features))
            if generator is not None and self.dropout > 0:
                # F.dropout takes no generator, and every rank must drop the same units.
                kept = torch.rand(features.shape, generator=generator, device=features.device) >= self.dropout
                features = features * kept / (1 - self.dropout)
        return features

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(M, D) features to (M, N) logits; without a generator nothing is dropped."""
        return self._linear(len(self.layers) - 1, self.hidden(features, generator))

    def _linear(self, i: int, x: Tensor) -> Tensor:
        weight, bias = self.layers[i].parameters()
        return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))

    def weights(self) -> Weights:
        """phi_0 by name: what the inner loop adapts, in fp32 where a model or FSDP keeps it in half precision."""
        named = self.layers.named_parameters(prefix="layers")
        return {name: w.float() if w.dtype in (torch.bfloat16, torch.float16) else w for name, w in named}

    def learning_rates(self, lr: float) -> dict[str, Tensor | float]:
        """The inner learning rate of each weight: the learned (T,) ones, or `lr`."""
        if self.log_inner_lr is None:
            return dict.fromkeys(self.weights(), lr)
        rates = self.log_inner_lr.exp()
        return {name: rates[:, int(name.split(".")[1])] for name in self.weights()}


def inner_loop(
    head: nn.Module,
    start: Weights,
    features: Tensor,
    labels: Tensor,
    steps: int,
    lr: float | dict[str, Tensor | float],
    generator: torch.Generator | None = None,
    first_order: bool = True,
) -> Iterator[Weights]:
    """Run the inner loop: `steps` of SGD on the support set.

    Args:
        head: called as head(features, generator) with other weights in place of its own, which stay as they are.
        start: phi_0 by parameter name.
        features: (M, D) support features.
        labels: (M,) classes.
        steps: T, inner updates.
        lr: alpha, the inner learning rate; or one for each name, a number or (T,) a step.
        generator: source of the dropout masks, on the device of the features; None drops nothing.
        first_order: take the inner gradients for constants, so that d phi_T / d phi_0 is the identity and the
            features get no gradient; else both are exact.

    Yields:
        phi_0, phi_1, ..., phi_T by parameter name.
    """
    yield start
    rates = lr if isinstance(lr, dict) else dict.fromkeys(start, lr)
    fast = start
    for t in range(steps):
        with torch.enable_grad():
            if first_order:
                leaves = {name: weight.detach().requires_grad_() for name, weight in fast.items()}
                logits = functional_call(head, leaves, (features.detach(), generator))
            else:
                # Views, because prototype weights depend on the layers below: the inner gradient is a partial one.
                leaves = {n: w.view_as(w) if w.requires_grad else w.detach().requires_grad_() for n, w in fast.items()}
                logits = functional_call(head, leaves, (features, generator))
            loss = F.cross_entropy(logits, labels)
            gradients = torch.autograd.grad(loss, list(leaves.values()), create_graph=not first_order)
        fast = {
            name: fast[name] - _at_step(rates[name], t) * gradient
            for name, gradient in zip(leaves, gradients, strict=True)
        }
        yield fast


def adapt_head(
    head: MetaHead,
    features: Tensor,
    labels: Tensor,
    steps: int,
    lr: float | dict[str, Tensor | float],
    generator: torch.Generator | None = None,
    *,
    first_order: bool = True,
    start: Weights | None = None,
) -> Weights:
    """phi_T by parameter name, from the head's own weights or from `start`; see `inner_loop`."""
    start = head.weights() if start is None else start
    *_, last = inner_loop(head, start, features, labels, steps, lr, generator, first_order)
    return last


def prototypes(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """(N, D) mean feature of each class (Snell et al. 2017); zero for a class without examples.

    Args:
        features: (M, D).
        labels: (M,) in [0, N).
        ways: N.
    """
    membership = F.one_hot(labels, ways).to(features.dtype)
    return membership.T @ features / membership.sum(0)[:, None].clamp(min=1)


def prototype_start(head: MetaHead, features: Tensor, labels: Tensor) -> Weights:
    """phi_0 whose last layer is made from class prototypes (Proto-MAML, Triantafillou et al. 2020).

    With c_n the prototypes of the last layer's inputs, w_n = 2 c_n / sqrt(H) and b_n = -|c_n|^2 / sqrt(H), so that the
    softmax is over minus the squared distances divided by sqrt(H); undivided, it is saturated from the start. With
    a single layer c_n are the prototypes of the features themselves.

    Args:
        head: gives the layers before the last.
        features: (M, D) support features; the weights carry their gradient.
        labels: (M,) classes.
    """
    ways, width = head.weights()[f"{head.output_layer}.weight"].shape
    centres = prototypes(head.hidden(features), labels, ways)
    last = {
        f"{head.output_layer}.weight": 2 * centres / width**0.5,
        f"{head.output_layer}.bias": -centres.square().sum(1) / width**0.5,
    }
    return head.weights() | last


def prototype_logits(features: Tensor, support_features: Tensor, support_labels: Tensor, ways: int) -> Tensor:
    """Minus the distance to each class's mean support feature (Snell et al. 2017), the baseline without a head.

    Args:
        features: (M, D) to classify.
        support_features: (N * K, D).
        support_labels: (N * K,) in [0, N).
        ways: N.

    Returns:
        (M, N) logits.
    """
    return -torch.cdist(features, prototypes(support_features, support_labels, ways))


def _at_step(rate: Tensor | float, t: int) -> Tensor | float:
    return rate[t] if isinstance(rate, Tensor) else rate
