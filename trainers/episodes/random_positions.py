"""The episodes of the paper's published training code, for comparison: random positions instead of chosen words.

Every row hides its tokens at the same K random positions. The classes are the first N distinct hidden tokens; every
other token is labelled 0. Class 0 therefore grows with the batch, and a head that always answers 0 seems accurate:
compare `query_accuracy` with `class_0_share`.
"""

import torch
from torch import Tensor

from ..errors import InputError
from .sampling import Episode, Examples


def sample_random_positions(
    token_ids: Tensor,
    mask_id: int,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    held_out: Tensor | None = None,
) -> Episode | None:
    """Hide K random positions of every row for support, and Q others for query.

    Args:
        token_ids: (R, T) rows of running text.
        mask_id: the token that hides a token.
        ways: N, largest number of classes.
        shots: K, support positions, the same in all rows.
        queries: Q, query positions.
        generator: a CPU generator; the same state gives the same episode.
        held_out: (V,) bool, tokens that are never a class of their own and so are labelled 0.

    Returns:
        The episode on the CPU, with R * K support and R * Q query examples; None if all hidden tokens are the same.

    Raises:
        InputError: a row has fewer than K + Q positions.
    """
    token_ids = token_ids.cpu().long()
    length = token_ids.shape[1]
    if shots + queries > length:
        raise InputError(f"k_shot + n_query is {shots + queries}, more than the {length} tokens of a block")
    positions = torch.randperm(length, generator=generator)[: shots + queries]
    support, query = positions[:shots], positions[shots:]
    hidden = token_ids[:, support].reshape(-1)
    classes = _first_distinct(hidden if held_out is None else hidden[~held_out[hidden]], ways)
    if len(classes) < 2:
        return None
    return Episode(_hide(token_ids, support, mask_id, classes), _hide(token_ids, query, mask_id, classes), classes)


def _first_distinct(values: Tensor, count: int) -> Tensor:
    return torch.tensor(list(dict.fromkeys(values.tolist()))[:count], dtype=torch.long)


def _hide(token_ids: Tensor, positions: Tensor, mask_id: int, classes: Tensor) -> Examples:
    hidden = token_ids[:, positions].reshape(-1)
    is_class = hidden[:, None] == classes
    labels = torch.where(is_class.any(1), is_class.int().argmax(1), 0)
    ids = token_ids.clone()
    ids[:, positions] = mask_id
    rows = torch.arange(len(ids)).repeat_interleave(len(positions))
    return Examples(ids, rows, positions.repeat(len(ids)), labels, rows)
