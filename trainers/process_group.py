"""The processes that train together, and how one of them leaves."""

import time
from functools import cache

import torch
import torch.distributed as dist


def world_size() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def sums(values: list[float]) -> list[float]:
    """Each value added up over all processes; costs a round between hosts, and leaves the accelerators alone."""
    if world_size() == 1:
        return values
    table = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(table, group=_hosts())
    return table.tolist()


@cache
def _hosts() -> dist.ProcessGroup | None:
    """A group that speaks from host to host; None is the default one, where that already does."""
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def leave() -> None:
    """Leave the group, if there is one; once, at the very end of a script."""
    if dist.is_initialized():
        dist.destroy_process_group()
        # gloo deadlocks when the group's last owner frees it while a thread of its own still waits for Python's lock,
        # to drop the result of the last collective (pytorch/pytorch#56297). Sleeping lets go of that lock.
        time.sleep(0.5)
