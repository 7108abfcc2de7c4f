"""OV circuits: the map from what a head reads in the residual stream to what it writes there."""

import torch
from torch import Tensor

from .effective_rank import singular_values


def ov_singular_values(output: Tensor, value: Tensor, heads: int) -> list[Tensor]:
    """Return the E largest singular values of W_O^h W_V^h for each head h (Elhage et al. 2021, section "OV circuit").

    The product (D, D) has at most rank E, so an (E, E) matrix has the same singular values.

    Args:
        output: (D, H * E) weight of the output projection.
        value: (G * E, D) weight of the value projection; H / G consecutive heads share each of the G groups.
        heads: H.
    """
    size = output.shape[1] // heads
    outputs = output.detach().float().split(size, dim=1)  # H times (D, E)
    values = value.detach().float().split(size, dim=0)  # G times (E, D)
    shared = heads // len(values)
    spectra = []
    for head, write in enumerate(outputs):
        read = values[head // shared]
        if not (write.isfinite().all() and read.isfinite().all()):
            spectra.append(write.new_full((size,), torch.nan))
            continue
        # The orthonormal factors of both QR decompositions do not change the singular values.
        spectra.append(singular_values(torch.linalg.qr(write, mode="r").R @ torch.linalg.qr(read.T, mode="r").R.T))
    return spectra
