"""The inner loop: adapt a small head by SGD on frozen features (ANIL, Raghu et al. 2020).

With phi_0 the head's weights, the support set gives phi_t = phi_(t-1) - alpha * grad CE(h_phi(f(S)), y_S), t = 1..T
(Algorithm 1 of the paper, lines 12 to 16). The outer loss is CE(h_phi_T(f(Q)), y_Q). Its first-order gradient treats
d phi_T / d phi_0 as the identity (FOMAML, Finn et al. 2017); the exact one goes through the inner steps too.
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
Rates = dict[str, Tensor | float]
HEAD_INITIALIZERS = ("xavier", "published")


class MetaHeadLayer(nn.Linear):
    """A linear layer of the head; a class of its own because it is initialised by Xavier, unlike the decoder's."""


class MetaHead(nn.Module):
    """The classifier that episodes adapt: an MLP with ReLU and dropout between its layers (Table 10 of the paper).

    Args:
        d_model: width of the features.
        ways: N, classes.
        layers: linear layers, at least 1.
        hidden_dim: width between the layers.
        dropout: share of hidden units dropped; `forward` drops none without a generator.
        learned_lr_steps: inner steps with learned learning rates, one for each layer and step (Meta-SGD, Li et al.
            2017; MAML++, Antoniou et al. 2019); 0 learns none.
        inner_lr: initial value of the learned rates.
        initializer: `xavier`, or `published` (see `initialize_as_published`).
        projection: width of a linear map of the features before the layers, which the inner loop does not adapt
            (class episodes); 0 for none, None for heads of word episodes.
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
        initializer: str = "xavier",
        projection: int | None = None,
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(d_model, projection, bias=False) if projection else None
        widths = [projection or d_model, *[hidden_dim] * (layers - 1), ways]
        self.layers = nn.ModuleList(MetaHeadLayer(n, m) for n, m in pairwise(widths))
        self.dropout = dropout
        self.initial_lr = inner_lr
        self.initializer = initializer
        # Logarithms, so that the rates stay positive and change by factors.
        self.log_inner_lr = nn.Parameter(torch.empty(learned_lr_steps, layers)) if learned_lr_steps else None
        self.reset_inner_lr()
        self.reset_projection()

    def initialize_as_published(self, vocab_size: int) -> None:
        """Draw the weights as the paper's published code does: biases as torch, the last layer as one of V outputs.

        Of these it uses N. Xavier's weights are the smaller the more outputs a layer has.

        Args:
            vocab_size: V.
        """
        layers = [layer for layer in self.layers if isinstance(layer, MetaHeadLayer)]
        for layer in layers:
            bound = layer.in_features**-0.5
            init.uniform_(layer.bias, -bound, bound)
        bound = math.sqrt(6 / (layers[-1].in_features + vocab_size))
        init.uniform_(layers[-1].weight, -bound, bound)

    def reset_inner_lr(self) -> None:
        """Set the learned learning rates to their initial value."""
        if self.log_inner_lr is not None:
            init.constant_(self.log_inner_lr, math.log(self.initial_lr))

    def reset_projection(self) -> None:
        """Draw the projection's weights as torch does; cosines do not depend on their scale."""
        if self.projection is not None:
            bound = self.projection.in_features**-0.5
            init.uniform_(self.projection.weight, -bound, bound)

    @property
    def output_layer(self) -> str:
        """Name of the last layer, whose rows are the classes."""
        return f"layers.{len(self.layers) - 1}"

    def project(self, states: Tensor) -> Tensor:
        """(M, D) states to the (M, W) features that class episodes classify."""
        return states if self.projection is None else F.linear(states, self.projection.weight.to(states.dtype))

    def hidden(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(M, D) features to the (M, H) input of the last layer."""
        for i in range(len(self.layers) - 1):
            features = F.relu(self._linear(i, features))
            if generator is not None and self.dropout > 0:
                # F.dropout takes no generator, and every rank must drop the same units.
                mask = torch.rand(features.shape, generator=generator, device=features.device) >= self.dropout
                features = features * mask / (1 - self.dropout)
        return features

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(M, D) features to (M, N) logits; without a generator nothing is dropped."""
        return self._linear(len(self.layers) - 1, self.hidden(features, generator))

    def _linear(self, i: int, x: Tensor) -> Tensor:
        weight, bias = self.layers[i].parameters()
        return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))

    def weights(self) -> Weights:
        """Return phi_0 by parameter name; half-precision weights are converted to fp32."""
        named = self.layers.named_parameters(prefix="layers")
        return {name: w.float() if w.dtype in (torch.bfloat16, torch.float16) else w for name, w in named}

    def first_outputs(self, weights: Weights, ways: int | None) -> Weights:
        """Cut the last layer of weights by parameter name to its first `ways` outputs; None cuts nothing."""
        names = (f"{self.output_layer}.weight", f"{self.output_layer}.bias")
        return weights if ways is None else weights | {name: weights[name][:ways] for name in names}

    def learning_rates(self, lr: float) -> Rates:
        """Return the inner learning rates by parameter name: the learned ones (T,), else `lr`."""
        if self.log_inner_lr is None:
            return dict.fromkeys(self.weights(), lr)
        rates = self.log_inner_lr.exp()
        return {name: rates[:, int(name.split(".")[1])] for name in self.weights()}


def draw_head(head: MetaHead, vocab_size: int) -> MetaHead:
    """Draw the weights of a head, and return it; V is for `initialize_as_published`."""

    def draw(module: nn.Module) -> None:
        draw_part(module, vocab_size)

    head.apply(draw)
    return head


def draw_part(module: nn.Module, vocab_size: int) -> bool:
    """Draw what a head, or a layer of it, has of its own; False for another module, whose weights stay."""
    if isinstance(module, MetaHeadLayer):
        init.xavier_uniform_(module.weight)
        init.zeros_(module.bias)
    elif isinstance(module, MetaHead):
        module.reset_inner_lr()
        module.reset_projection()
        if module.initializer == "published":
            module.initialize_as_published(vocab_size)
    else:
        return False
    return True


def inner_loop(
    head: nn.Module,
    start: Weights,
    features: Tensor,
    labels: Tensor,
    steps: int,
    lr: float | Rates,
    generator: torch.Generator | None = None,
    first_order: bool = True,
) -> Iterator[Weights]:
    """Yield phi_0, phi_1, ..., phi_T by parameter name: T steps of SGD on the support set.

    Args:
        head: called as head(features, generator); its own weights do not change.
        start: phi_0.
        features: (M, D) support features.
        labels: (M,) classes.
        steps: T.
        lr: alpha, one for all weights or by parameter name; (T,) gives each step its own.
        generator: source of the dropout masks, on the device of the features; None for no dropout.
        first_order: treat the inner gradients as constants, so that d phi_T / d phi_0 is the identity and the
            features get no gradient; else both are exact.
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
                # Views make the inner gradient a partial one: prototype weights depend on the layers below.
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
    lr: float | Rates,
    generator: torch.Generator | None = None,
    *,
    first_order: bool = True,
    start: Weights | None = None,
) -> Weights:
    """Return phi_T of `inner_loop` by parameter name; phi_0 is `start`, by default the head's own weights."""
    start = head.weights() if start is None else start
    *_, last = inner_loop(head, start, features, labels, steps, lr, generator, first_order)
    return last


def prototypes(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Average features (M, D) by labels (M,) in [0, N): (N, D), zero for a class without examples."""
    membership = (labels[:, None] == torch.arange(ways, device=labels.device)).to(features.dtype)
    return membership.T @ features / membership.sum(0)[:, None].clamp(min=1)


def prototype_start(head: MetaHead, features: Tensor, labels: Tensor) -> Weights:
    """Return phi_0 with class prototypes in the last layer (Proto-MAML, Triantafillou et al. 2020).

    With c_n the prototypes of the last layer's inputs, w_n = 2 c_n / sqrt(H) and b_n = -|c_n|^2 / sqrt(H), so that the
    softmax is over minus the squared distances divided by sqrt(H); undivided, it would be saturated from the start.

    Args:
        head: provides the layers before the last.
        features: (M, D) support features; the returned weights have a gradient for them.
        labels: (M,) classes.
    """
    ways, width = head.weights()[f"{head.output_layer}.weight"].shape
    centres = prototypes(head.hidden(features), labels, ways)
    weight, bias = 2 * centres / width**0.5, -centres.square().sum(1) / width**0.5
    return head.weights() | {f"{head.output_layer}.weight": weight, f"{head.output_layer}.bias": bias}


def prototype_logits(features: Tensor, support_features: Tensor, support_labels: Tensor, ways: int) -> Tensor:
    """Classify features (M, D) without a head (Snell et al. 2017).

    Returns:
        (M, N) minus the distances to the mean of each class's support features, given as (N * K, D) with labels
        (N * K,) in [0, N).
    """
    return -torch.cdist(features, prototypes(support_features, support_labels, ways))


def _at_step(rate: Tensor | float, t: int) -> Tensor | float:
    return rate[t] if isinstance(rate, Tensor) else rate
