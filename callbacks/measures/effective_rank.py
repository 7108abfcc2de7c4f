"""Effective rank of a matrix (Roy and Vetterli 2007): the number of directions its singular values are spread over.

Section 6 of the paper (Figures 29 to 33) reports it as a share of the largest possible rank.
"""

import math

import torch
from torch import Tensor


def singular_values(matrix: Tensor) -> Tensor:
    """Return the singular values of a matrix (M, N), largest first: (min(M, N),) in float32, or float64 if it is.

    All are NaN if the matrix has a value that is not finite, or if LAPACK does not converge.
    """
    matrix = matrix.detach()
    if matrix.dtype != torch.float64:
        matrix = matrix.float()
    if matrix.isfinite().all():
        try:
            return torch.linalg.svdvals(matrix)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            pass  # a failed measurement must not end a training run
    return matrix.new_full((min(matrix.shape),), math.nan)


def effective_rank(singular: Tensor) -> float:
    """Return exp(H(p)), with p the (d,) singular values divided by their sum and H in nats.

    Between 1 (rank one) and d (all equal); 0 for a zero matrix; NaN if a value is NaN or there are none.
    """
    if not len(singular):
        return math.nan
    singular = singular.double()
    total = singular.sum()
    if total == 0:
        return 0.0
    return torch.special.entr(singular / total).sum().exp().item()


def proportional_effective_rank(singular: Tensor) -> float:
    """Return PER = exp(H(p)) / d, the effective rank as a share of the number d of singular values."""
    return effective_rank(singular) / len(singular) if len(singular) else math.nan
