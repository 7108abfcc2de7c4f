"""From the logits of words to their tags."""

import torch
from torch import Tensor

from .iob2 import LABELS

DECODINGS = ("argmax", "iob2")


def decode(logits: Tensor, labelled: Tensor, decoding: str) -> Tensor:
    """The class of each word.

    Args:
        logits: (B, T, C) of sub-words, C being the number of `LABELS`.
        labelled: (B, T), true where a sub-word stands for a word; classes elsewhere are meaningless.
        decoding: `argmax`, each word alone; or `iob2`, the most probable sequence in which every I- continues an
            entity of its class (Viterbi).

    Returns:
        (B, T) classes.
    """
    if decoding == "argmax":
        return logits.argmax(-1)
    scores = logits.float().log_softmax(-1)
    forbidden = _forbidden().to(logits.device)
    classes = torch.arange(len(LABELS), device=logits.device)
    # Start as after an O: a sentence cannot begin inside an entity.
    best = scores.new_full((len(scores), len(LABELS)), -torch.inf)
    best[:, LABELS.index("O")] = 0.0
    came_from = []
    for score, word in zip(scores.unbind(1), labelled.unbind(1), strict=True):
        reached, previous = (best[:, :, None] + forbidden).max(1)
        best = torch.where(word[:, None], reached + score, best)
        came_from.append(torch.where(word[:, None], previous, classes))
    state, path = best.argmax(-1), []
    for previous in reversed(came_from):
        path.append(state)
        state = previous.gather(1, state[:, None])[:, 0]
    return torch.stack(path[::-1], 1)


def _forbidden() -> Tensor:
    """(C, C) from a tag to the next: minus infinity where an I- does not continue an entity of its class, else 0."""
    return torch.tensor(
        [
            [-torch.inf if after.startswith("I-") and before[1:] != after[1:] else 0.0 for after in LABELS]
            for before in LABELS
        ]
    )
