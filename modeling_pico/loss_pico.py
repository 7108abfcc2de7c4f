"""Next-token loss that never holds the logits of a whole batch.

Shape letters: B batch, T tokens, N = B x T rows, D d_model, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

# Rows of logits held at a time in half precision, at least; each chunk adds to the weight's gradient once.
HALF_CHUNK = 512
# Bytes of fp32 logits that a GPU holds at a time, for which few rows are too little work; never run on one.
GPU_LOGITS = 512 << 20
# Rows of a softmax on a CPU, few enough to stay in its cache.
CPU_SOFTMAX_ROWS = 16
# Rows of logits whose loss is taken at a time on a CPU.
CPU_LOSS_ROWS = 64


class ChunkedLoss(torch.autograd.Function):
    """Summed cross-entropy, and that of each row, with matrix products in a given dtype and softmax in fp32.

    `F.linear_cross_entropy` returns the loss in the dtype of its input, three digits in bf16, takes twice as long on a
    CPU when it accumulates in fp32, and sums over rows.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the sum in nats over rows (N, D), and the nats of each (N,), which have no gradient.

        Given weight (V, D) and targets (N,); a target of -100 is none.
        """
        total = torch.zeros((), dtype=torch.float32, device=rows.device)
        nats = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
        weight_half, rows_half = weight.to(dtype), rows.to(dtype)
        d_rows, d_weight = torch.empty_like(rows), torch.zeros(weight.shape, dtype=torch.float32, device=rows.device)
        chunk = half_chunk_rows(len(weight), rows.device)
        for start in range(0, len(rows), chunk):
            x, target, own = (whole[start : start + chunk] for whole in (rows_half, targets, nats))
            counted = target.ne(-100)
            picked = target.clamp(min=0)[:, None]
            logits = x @ weight_half.T
            block = CPU_SOFTMAX_ROWS if logits.device.type == "cpu" else chunk
            pieces = (t.split(block) for t in (logits, picked, counted, own))
            for part, index, count, each in zip(*pieces, strict=True):
                log_softmax = part.float().log_softmax(1)
                likelihood = log_softmax.gather(1, index)[:, 0] * count
                total -= likelihood.sum()
                each.copy_(-likelihood)
                part.copy_(log_softmax.exp_())
            # The gradient of the logits: softmax minus one-hot, zero in rows without a target.
            logits.scatter_add_(1, picked, logits.new_full((1, 1), -1).expand_as(picked))
            logits.mul_(counted[:, None])
            d_rows[start : start + chunk] = logits @ weight_half
            d_weight += logits.T @ x
        ctx.save_for_backward(d_rows, d_weight.to(weight.dtype))
        ctx.mark_non_differentiable(nats)
        return total, nats

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the gradients that `forward` computed."""
        d_rows, d_weight = ctx.saved_tensors
        return d_rows * grads[0], d_weight * grads[0], None, None


def next_token_loss(
    hidden: Tensor, head: nn.Linear, targets: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Compute the cross-entropy of `head(hidden)` in chunks of rows, without the logits (B, T, V).

    Under autocast or with half-precision weights the matrix products run in half precision, all else in fp32.

    Args:
        hidden: (B, T, D) last hidden states.
        head: the LM head, weight (V, D), no bias.
        targets: (B, T) the token that follows each position, -100 for no target.
        num_items_in_batch: divisor of the summed loss; by default the number of targets, at least 1.

    Returns:
        A scalar in nats a token, fp32.
    """
    targets = targets.reshape(-1).to(hidden.device)
    rows = hidden.reshape(-1, hidden.shape[-1])
    device = rows.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    if isinstance(head.weight, DTensor):
        # Tensor parallelism: only the head's own forward gathers the logits.
        summed = F.cross_entropy(head(rows).float(), targets, reduction="sum")
    elif dtype in (torch.bfloat16, torch.float16):
        with torch.autocast(device, enabled=False):
            summed, _ = ChunkedLoss.apply(rows, head.weight, targets, dtype)
    else:
        options = nn.LinearCrossEntropyOptions(batch_chunk_size=chunk_rows(rows.shape[1]), chunking_method=None)
        summed = F.linear_cross_entropy(rows.to(dtype), head.weight, targets, reduction="sum", options=options)
    return summed / count_labels(targets, num_items_in_batch)


def loss_of_logits(logits: Tensor, targets: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """The loss of `next_token_loss` from logits (B, T, V) that are there already, in chunks of rows of fp32."""
    rows, targets = logits.flatten(0, -2), targets.flatten().to(logits.device)
    chunk = CPU_LOSS_ROWS if rows.device.type == "cpu" else half_chunk_rows(rows.shape[1], rows.device)
    parts = zip(rows.split(chunk), targets.split(chunk), strict=True)
    summed = torch.stack([F.cross_entropy(part.float(), target, reduction="sum") for part, target in parts]).sum()
    return summed / count_labels(targets, num_items_in_batch)


def next_token_loss_by_row(hidden: Tensor, head: nn.Linear, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of `head(hidden)`, and that of each row of a batch, without the logits (B, T, V).

    Args:
        hidden: (B, T, D) last hidden states.
        head: the LM head, weight (V, D), no bias.
        targets: (B, T) the token that follows each position, each one a target.

    Returns:
        A scalar in nats a token as that of `next_token_loss`, up to rounding, and (B,) the mean of each row, detached.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    rows = hidden.reshape(-1, hidden.shape[-1])
    with torch.autocast(device, enabled=False):
        summed, nats = ChunkedLoss.apply(rows, head.weight, targets.reshape(-1).to(hidden.device), dtype)
    return summed / targets.numel(), nats.view(targets.shape).mean(1)


def chunk_rows(width: int) -> int:
    """Return the rows of logits to hold at a time in fp32: the width, so that they need no more memory than the head.

    Measured on CPUs: fewer than 128 rows are slower, more than 512 no faster; torch's own choice is several times
    slower.
    """
    return min(max(width, 128), 512)


def count_labels(targets: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor | int:
    """Return the divisor of a summed loss: the given number, else that of labels other than -100, at least 1."""
    if num_items_in_batch is None:
        return targets.ne(-100).sum().clamp(min=1)
    return num_items_in_batch.to(targets.device) if isinstance(num_items_in_batch, Tensor) else num_items_in_batch


def half_chunk_rows(vocabulary: int, device: torch.device) -> int:
    """Rows of half-precision logits held at a time: a power of two, on a GPU as many as `GPU_LOGITS` has room for."""
    if device.type == "cpu":
        return HALF_CHUNK
    return max(HALF_CHUNK, 1 << (GPU_LOGITS // (4 * vocabulary)).bit_length() - 1)
