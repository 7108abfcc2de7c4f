"""Effective rank of a matrix: over how many directions its singular values are spread.

Roy and Vetterli 2007; as a share of the rank that the shape allows, the paper's section 6 (Figures 29 to 33).
"""

import math

import torch
from torch import Tensor


def singular_values(matrix: Tensor) -> Tensor:
    """Singular values of a matrix (M, N), largest first: (min(M, N),), in float64 where it is, else in float32.

    All NaN where the matrix holds a value that is not finite, or where LAPACK does not converge.
    """
    matrix = matrix.detach()
    if matrix.dtype != torch.float64:
        matrix = matrix.float()
    if matrix.isfinite().all():
        try:
            return torch.linalg.svdvals(matrix)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            pass  # a measurement never ends a training run
    return matrix.new_full((min(matrix.shape),), math.nan)


def effective_rank(singular: Tensor) -> float:
    """exp(H(p)), with p the (d,) singular values divided by their sum and H in nats.

    Between 1 (rank one, or one row) and d (all equal); 0 for a zero matrix, which spans nothing; NaN where a value is
    NaN, or where there are none.
    """
    if not len(singular):
        return math.nan
    singular = singular.double()
    total = singular.sum()
    if total == 0:
        return 0.0
    return torch.special.entr(singular / total).sum().exp().item()


def proportional_effective_rank(singular: Tensor) -> float:
    """PER = exp(H(p)) / d, with d the number of singular values: `effective_rank` as a share of what is possible."""
    return effective_rank(singular) / len(singular) if len(singular) else math.nan
