"""The loss of next-token prediction without the logits of a whole batch.

Shape letters: B batch, T tokens, N = B x T rows, D d_model, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

# Rows of logits held at a time in half precision, where the weight's gradient is added up once a chunk.
HALF_CHUNK = 512
# Rows whose softmax is taken at a time on a CPU, so that they stay in its cache.
CPU_SOFTMAX_ROWS = 16


class HalfPrecisionLoss(torch.autograd.Function):
    """Summed cross-entropy whose matrix products run in half precision and whose softmax runs in fp32.

    `F.linear_cross_entropy` returns the loss in the dtype of its input: three digits in bf16. It also takes twice as
    long on a CPU as soon as it accumulates in fp32.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Rows (N, D), weight (V, D) and targets (N,), -100 for none, to the sum in nats; gradients are kept."""
        total = torch.zeros((), dtype=torch.float32, device=rows.device)
        weight_half, rows_half = weight.to(dtype), rows.to(dtype)
        d_rows, d_weight = torch.empty_like(rows), torch.zeros(weight.shape, dtype=torch.float32, device=rows.device)
        for start in range(0, len(rows), HALF_CHUNK):
            x, target = rows_half[start : start + HALF_CHUNK], targets[start : start + HALF_CHUNK]
            counted = target.ne(-100)
            picked = target.clamp(min=0)[:, None]
            logits = x @ weight_half.T
            block = CPU_SOFTMAX_ROWS if logits.device.type == "cpu" else HALF_CHUNK
            for part, index, count in zip(*(t.split(block) for t in (logits, picked, counted)), strict=True):
                log_softmax = part.float().log_softmax(1)
                total -= (log_softmax.gather(1, index)[:, 0] * count).sum()
                part.copy_(log_softmax.exp_())
            # The gradient of the logits: softmax minus one-hot, zero in rows without a target.
            logits.scatter_add_(1, picked, logits.new_full((1, 1), -1).expand_as(picked))
            logits.mul_(counted[:, None])
            d_rows[start : start + HALF_CHUNK] = logits @ weight_half
            d_weight += logits.T @ x
        ctx.save_for_backward(d_rows, d_weight.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The kept gradients, scaled by that of the sum."""
        d_rows, d_weight = ctx.saved_tensors
        return d_rows * grads[0], d_weight * grads[0], None, None


def next_token_loss(
    hidden: Tensor, head: nn.Linear, targets: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Cross-entropy of `head(hidden)` without the B x T x V logits, in chunks of rows.

    Under autocast, or with half-precision weights, the matrix products run in half precision, everything else in fp32.

    Args:
        hidden: (B, T, D) last hidden states.
        head: the LM head, weight (V, D), no bias.
        targets: (B, T) the token that follows each position, -100 where there is none to predict.
        num_items_in_batch: what to divide the summed loss by; by default the number of targets, at least 1.

    Returns:
        A scalar in nats a token, fp32.
    """
    targets = targets.reshape(-1).to(hidden.device)
    rows = hidden.reshape(-1, hidden.shape[-1])
    device = rows.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    if isinstance(head.weight, DTensor):
        # Tensor parallelism: the head's own forward gathers the logits, which the fused loss cannot.
        summed = F.cross_entropy(head(rows).float(), targets, reduction="sum")
    elif dtype in (torch.bfloat16, torch.float16):
        with torch.autocast(device, enabled=False):
            summed = HalfPrecisionLoss.apply(rows, head.weight, targets, dtype)
    else:
        options = nn.LinearCrossEntropyOptions(batch_chunk_size=chunk_rows(rows.shape[1]), chunking_method=None)
        summed = F.linear_cross_entropy(rows.to(dtype), head.weight, targets, reduction="sum", options=options)
    return summed / count_labels(targets, num_items_in_batch)


def chunk_rows(width: int) -> int:
    """Rows of logits held at a time in fp32: as many as the model is wide, so that they take no more than the weight.

    Measured on CPUs: fewer than 128 take longer, more than 512 no less; torch's own choice is several times slower.
    """
    return min(max(width, 128), 512)


def count_labels(targets: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor | int:
    """What to divide a summed loss by: the given number of items, else the labels that are not -100, at least 1."""
    if num_items_in_batch is None:
        return targets.ne(-100).sum().clamp(min=1)
    return num_items_in_batch.to(targets.device) if isinstance(num_items_in_batch, Tensor) else num_items_in_batch
