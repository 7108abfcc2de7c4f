"""Number and rank of the processes that train together, what they tell each other, and how they end."""

import time
from functools import cache

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Rank of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def whole(tensor: Tensor) -> Tensor:
    """Return the tensor itself, or gather a sharded one; then every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sums(values: list[float]) -> list[float]:
    """Each value summed over all processes, on the CPUs, so that accelerators need not wait."""
    if world_size() == 1:
        return values
    table = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(table, group=_hosts())
    return table.tolist()


def gather_on_hosts(tensor: Tensor) -> Tensor:
    """The (B, ...) tensors of all W processes, which lie on the CPU, in the order of ranks: (W * B, ...)."""
    if world_size() == 1:
        return tensor
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor, group=_hosts())
    return torch.cat(parts)


def broadcast_on_hosts(tensor: Tensor) -> Tensor:
    """The tensor of process 0; those of all processes lie on the CPU and have one shape."""
    if world_size() == 1:
        return tensor
    tensor = tensor.contiguous()
    dist.broadcast(tensor, 0, group=_hosts())
    return tensor


@cache
def _hosts() -> dist.ProcessGroup | None:
    """A gloo group; None is the default group, if that uses gloo."""
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def leave() -> None:
    """Destroy the process group, if there is one; call it once, at the end of a script."""
    if dist.is_initialized():
        dist.destroy_process_group()
        # gloo deadlocks when the group is freed while one of its threads waits for the GIL to drop the result of the
        # last collective (pytorch/pytorch#56297). Sleeping releases the GIL.
        time.sleep(0.5)
