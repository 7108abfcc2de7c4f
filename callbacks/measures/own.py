"""Measures that a user names on the command line: functions of a matrix, or of two sets of activations."""

import inspect
import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ...trainers.errors import InputError

logger = logging.getLogger(__name__)

WEIGHTS = "weights"
GRADIENTS = "gradients"
ACTIVATIONS = "activations"
ATTENTION = "attention"
SIMILARITY = "similarity"
# What is shipped and may be named without its module.
SHIPPED = {
    "condition_number": "conditioning",
    "gini": "sparsity",
    "hoyer": "sparsity",
    "linear_cka": "cka",
    "pwcca": "pwcca",
    "stable_rank": "conditioning",
}


@dataclass
class Measure:
    """A function, and what it is applied to: weights, gradients, activations, attention or similarity."""

    name: str
    places: tuple[str, ...]
    function: Callable[..., Any]
    failed: bool = field(default=False, repr=False)

    def __call__(self, *matrices: Tensor) -> float:
        """Return the function's value; NaN, and one warning, if it fails, because training has to go on."""
        try:
            return float(self.function(*matrices))
        except Exception as error:  # a user's function may raise anything
            if not self.failed:
                logger.warning("measure %s failed, its value is missing: %r", self.name, error)
            self.failed = True
            return math.nan

    def check(self) -> None:
        """Raise InputError unless the function makes a number of small matrices."""
        examples = torch.randn(2 if SIMILARITY in self.places else 1, 6, 4, generator=torch.Generator().manual_seed(0))
        try:
            float(self.function(*examples))
        except Exception as error:
            raise InputError(
                f"dynamics_measures: {self.name} makes no number of a (6, 4) matrix, {error!r}: it has to take a "
                "matrix, or the activations of now and of the first step, and return a number"
            ) from error


def parse_measure(text: str) -> Measure:
    """Return the measure that `[PLACE=]FUNCTION` or `[PLACE=]package.module:FUNCTION` names; InputError if none."""
    place, _, path = text.rpartition("=")
    module, _, name = path.rpartition(":")
    if not module and name not in SHIPPED:
        raise InputError(
            f"dynamics_measures: {text!r} is none of {', '.join(sorted(SHIPPED))}: name your own as "
            "package.module:function"
        )
    if "" not in sys.path:
        sys.path.append("")  # the current folder, which the installed command does not search
    try:
        own = import_module(module) if module else import_module(f".{SHIPPED[name]}", __package__)
        function = vars(own)[name]
        needed = _arguments_needed(function)
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"dynamics_measures: cannot load {path!r}, {type(error).__name__} {error}: it has to be a function in a "
            "module of the current folder or of PYTHONPATH"
        ) from error
    allowed: tuple[str, ...] = {1: (WEIGHTS, GRADIENTS, ACTIVATIONS, ATTENTION), 2: (SIMILARITY,)}.get(needed, ())
    if not allowed:
        raise InputError(
            f"dynamics_measures: {path!r} takes {needed} arguments, not a matrix or two sets of activations"
        )
    if place and place not in allowed:
        raise InputError(f"dynamics_measures: {text!r} can be measured of {', '.join(allowed)}, not of {place!r}")
    places = (place,) if place else allowed[:3]
    return Measure(name, places, function)


def of_place(measures: Sequence[Measure], place: str) -> list[Measure]:
    """Return the measures that are applied to `place`."""
    return [measure for measure in measures if place in measure.places]


def _arguments_needed(function: Callable[..., Any]) -> int:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(it.kind in positional and it.default is inspect.Parameter.empty for it in parameters)
