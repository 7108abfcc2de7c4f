"""Select weight matrices of a decoder by name and layer."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import Tensor, nn

REGEX = "re:"


class Selected(NamedTuple):
    """A module with a weight matrix."""

    module: nn.Module
    name: str  #: within its layer, such as attention.v_proj
    layer: int  #: -1 for a module outside of layers

    @property
    def weight(self) -> Tensor:
        """The weight matrix."""
        assert isinstance(self.module.weight, Tensor)  # ensured by select_modules
        return self.module.weight


def select_modules(model: nn.Module, patterns: Sequence[str], layers: Sequence[int] | None = None) -> list[Selected]:
    """Return the modules whose name within their layer matches a pattern, in the order of the model.

    Args:
        model: a decoder with numbered layers in its names (`...layers.3.attention.v_proj`).
        patterns: globs (`attention.*`), or `re:` and a regular expression for the whole name.
        layers: numbers of layers, negative ones counted from the last; None for all.

    Raises:
        ValueError: a pattern is no regular expression or matches nothing, or a layer does not exist.
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
        for number in layers:
            if not -count <= number < count:
                raise ValueError(f"there is no layer {number}: the model has {count}")
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
