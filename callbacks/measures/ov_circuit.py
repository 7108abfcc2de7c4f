"""OV circuits: what a head writes into the residual stream of what it reads there, whatever it attends to."""

import torch
from torch import Tensor

from .effective_rank import singular_values


def ov_singular_values(output: Tensor, value: Tensor, heads: int) -> list[Tensor]:
    """Singular values of W_O^h W_V^h for each head h (Elhage et al. 2021, "A Mathematical Framework").

    The product of two thin matrices is (D, D) with rank at most E; its singular values are those of an (E, E) matrix.

    Args:
        output: (D, H * E) weight of the output projection.
        value: (G * E, D) weight of the value projection; of G groups, each is shared by H / G heads in turn.
        heads: H.

    Returns:
        For each head its E singular values, largest first.
    """
    size = output.shape[1] // heads
    outputs = output.detach().float().split(size, dim=1)  # H times (D, E)
    values = value.detach().float().split(size, dim=0)  # G times (E, D)
    shared = heads // len(values)
    found = []
    for head, write in enumerate(outputs):
        read = values[head // shared]
        if not (write.isfinite().all() and read.isfinite().all()):
            found.append(write.new_full((size,), torch.nan))
            continue
        # Orthonormal factors on the outside leave the singular values as they are.
        found.append(singular_values(torch.linalg.qr(write, mode="r").R @ torch.linalg.qr(read.T, mode="r").R.T))
    return found
