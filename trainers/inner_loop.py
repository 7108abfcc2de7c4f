"""The inner loop: a small head adapted by SGD on frozen features (ANIL, Raghu et al. 2020), first-order MAML outside.

With phi_0 the head's weights, the support set gives phi_t = phi_(t-1) - alpha * grad CE(h_phi(f(S)), y_S), t = 1..T
(Algorithm 1 of the paper, lines 12 to 16). The outer loss is CE(h_phi_T(f(Q)), y_Q), and its first-order gradient
takes d phi_T / d phi_0 for the identity (FOMAML, Finn et al. 2017).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


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
    """

    def __init__(self, d_model: int, ways: int, layers: int = 4, hidden_dim: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        widths = [d_model, *[hidden_dim] * (layers - 1), ways]
        self.layers = nn.ModuleList(MetaHeadLayer(n, m) for n, m in pairwise(widths))
        self.dropout = dropout

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(M, D) features to (M, N) logits; without a generator nothing is dropped."""
        x = features
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = F.relu(x)
                if generator is not None and self.dropout > 0:
                    # F.dropout takes no generator, and every rank must drop the same units.
                    kept = torch.rand(x.shape, generator=generator, device=x.device) >= self.dropout
                    x = x * kept / (1 - self.dropout)
        return x


def adapt_head(
    head: nn.Module,
    features: Tensor,
    labels: Tensor,
    steps: int,
    lr: float,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Run the inner loop: `steps` of SGD from the head's weights on the support set.

    Args:
        head: called as head(features, generator); its parameters are phi_0 and stay as they are.
        features: (M, D) support features, not differentiated.
        labels: (M,) classes.
        steps: T, inner updates; 0 returns phi_0.
        lr: alpha, the inner learning rate.
        generator: source of the dropout masks, on the device of the features; None drops nothing.

    Returns:
        phi_T by parameter name, detached.
    """
    features = features.detach()
    fast = {name: weight.detach().clone() for name, weight in head.named_parameters()}
    for _ in range(steps):
        with torch.enable_grad():
            leaves = {name: weight.requires_grad_() for name, weight in fast.items()}
            loss = F.cross_entropy(functional_call(head, leaves, (features, generator)), labels)
            gradients = torch.autograd.grad(loss, list(leaves.values()))
        fast = {
            name: (weight - lr * gradient).detach()
            for (name, weight), gradient in zip(fast.items(), gradients, strict=True)
        }
    return fast


def first_order(head: nn.Module, fast: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights with the value of phi_T whose gradient flows to phi_0 as if they were phi_0 (FOMAML)."""
    return {name: weight + (fast[name] - weight).detach() for name, weight in head.named_parameters()}


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
    membership = F.one_hot(support_labels, ways).to(support_features.dtype)
    prototypes = membership.T @ support_features / membership.sum(0)[:, None].clamp(min=1)
    return -torch.cdist(features, prototypes)
