"""Projection-weighted canonical correlation analysis (PWCCA): similarity of two sets of activations."""

import torch
from torch import Tensor

# Directions whose singular value is below this share of the largest are rounding errors.
SMALLEST = 1e-6


def pwcca(x: Tensor, y: Tensor) -> float:
    """Return the mean canonical correlation, weighted by what it explains of x (Morcos et al. 2018, eq. 3).

    It does not depend on an invertible linear map of y. With fewer examples than features it is 1 whatever they are.

    Args:
        x: (n, p) activations of n examples.
        y: (n, q) activations of the same examples.

    Returns:
        Between 0 and 1; NaN if one side is the same for all examples or is not finite.
    """
    x, y = (side.detach().double() - side.double().mean(0) for side in (x, y))
    if not (x.isfinite().all() and y.isfinite().all() and x.any() and y.any()):
        return float("nan")
    bases = [_basis(side) for side in (x, y)]
    left, correlations, _ = torch.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    canonical = bases[0] @ left  # (n, k) canonical variables of x
    weights = (canonical.T @ x).abs().sum(1)
    return ((weights * correlations.clamp(max=1)).sum() / weights.sum()).item()


def _basis(side: Tensor) -> Tensor:
    """Return orthonormal columns that span those of a centred matrix (n, p)."""
    left, singular, _ = torch.linalg.svd(side, full_matrices=False)
    return left[:, singular > SMALLEST * singular[0]]
