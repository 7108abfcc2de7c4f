"""How unequal the entries of a matrix are: 0 where all have the same size, near 1 where few entries carry all."""

import math

import torch
from torch import Tensor


def gini(matrix: Tensor) -> float:
    """Return the Gini index of the absolute entries (Hurley and Rickard 2009, eq. 5).

    Between 0 and 1 - 1/N for N entries; NaN for a matrix of zeros, or with a value that is not finite.
    """
    sizes = matrix.detach().double().abs().flatten().sort().values
    n = len(sizes)
    ranks = torch.arange(1, n + 1, dtype=sizes.dtype, device=sizes.device)
    return (1 - 2 * (sizes / sizes.sum() * (n - ranks + 0.5) / n).sum()).item()


def hoyer(matrix: Tensor) -> float:
    """Return (sqrt(N) - |c|_1 / |c|_2) / (sqrt(N) - 1) of the N entries c (Hoyer 2004, section 3.1).

    Between 0 and 1, reached by a single entry; NaN for a matrix of zeros, of one entry, or that is not finite.
    """
    entries = matrix.detach().double().flatten()
    root = math.sqrt(len(entries))
    if root == 1:
        return math.nan
    return ((root - entries.abs().sum() / entries.norm()) / (root - 1)).item()
