"""Copies to the device of a model."""

import torch
from torch import Tensor


def copied(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; a GPU of CUDA is not waited for.

    Elsewhere the copy ends first: on MPS one in the background may read memory that is freed already.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")
