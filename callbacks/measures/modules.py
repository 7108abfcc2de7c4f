"""Which weight matrices of a decoder are looked at."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

REGEX = "re:"


class Selected(NamedTuple):
    """A module with a weight matrix.

    Attributes:
        module: it.
        name: its name within its layer, such as `attention.v_proj`.
        layer: the layer's number; -1 where it lies in none.
    """

    module: nn.Module
    name: str
    layer: int

    @property
    def weight(self) -> Tensor:
        """Its matrix."""
        assert isinstance(self.module.weight, Tensor)  # select_modules saw to it
        return self.module.weight


def select_modules(model: nn.Module, patterns: Sequence[str], layers: Sequence[int] | None = None) -> list[Selected]:
    """The modules whose name within their layer matches a pattern, in the order of the model.

    Args:
        model: a decoder whose layers are numbered in its names (`...layers.3.attention.v_proj`).
        patterns: each a glob (`attention.*`), or `re:` and a regular expression for the whole name.
        layers: of these only, negative ones counted from the last; None for all.

    Raises:
        ValueError: a pattern is no regular expression or matches nothing, or there is no such layer.
    """
    candidates = []
    for path, module in model.named_modules():
        weight = module._parameters.get("weight")
        if weight is not None and weight.ndim == 2 and not isinstance(module, nn.Embedding):
            layer = re.search(r"(?:^|\.)(\d+)\.", path)
            name, number = (path, -1) if layer is None else (path[layer.end() :], int(layer[1]))
            candidates.append(Selected(module, name, number))
    names = list(dict.fromkeys(candidate.name for candidate in candidates))
    matching: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if _matches(name, pattern)}
        if not matches:
            raise ValueError(f"no module matches {pattern!r}: the matrices of this model are {', '.join(names)}")
        matching |= matches
    if layers is not None:
        count = 1 + max(candidate.layer for candidate in candidates)
        for layer_number in layers:
            if not -count <= layer_number < count:
                raise ValueError(f"there is no layer {layer_number}: the model has {count}")
        wanted = {number % count for number in layers}
        candidates = [candidate for candidate in candidates if candidate.layer in wanted]
    return [candidate for candidate in candidates if candidate.name in matching]


def _matches(name: str, pattern: str) -> bool:
    if not pattern.startswith(REGEX):
        return fnmatchcase(name, pattern)
    try:
        return re.fullmatch(pattern.removeprefix(REGEX), name) is not None
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


def whole(tensor: Tensor) -> Tensor:
    """The tensor, gathered from all processes where it is sharded; then every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
