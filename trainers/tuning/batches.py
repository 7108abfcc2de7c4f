"""Batches of similar length for a decoder that only encodes."""

from collections.abc import Iterator

import torch

# Sub-words, with padding, that the decoder encodes at once: larger batches are faster on a GPU but not on a CPU.
TOKENS_AT_ONCE, TOKENS_AT_ONCE_GPU = 1024, 32768


def tokens_at_once(device: torch.device) -> int:
    """Sub-words that a decoder encodes at once on a device."""
    return TOKENS_AT_ONCE if device.type == "cpu" else TOKENS_AT_ONCE_GPU


def batches(lengths: list[int], tokens: int) -> Iterator[list[int]]:
    """Indices of rows, longest first, in batches that fit into `tokens` with padding (at least one row each)."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
