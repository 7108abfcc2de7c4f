"""From the logits of words to their tags."""

from torch import Tensor

from ...modeling_pico.tagging_pico import decode_tags
from .iob2 import LABELS

DECODINGS = ("argmax", "iob2")


def decode(logits: Tensor, labelled: Tensor, decoding: str) -> Tensor:
    """The class of each word among `LABELS`, see `decode_tags`."""
    return decode_tags(logits, labelled, decoding, LABELS)
