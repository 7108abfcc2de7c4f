"""Checks of argument values; each raises InputError with the value and the remedy."""

from collections.abc import Sequence

from .errors import InputError


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise InputError unless the value is one of the choices."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_at_least(minimum: float, **values: float) -> None:
    """Raise InputError unless every value is at least the minimum (NaN is not)."""
    for name, value in values.items():
        if not value >= minimum:
            raise InputError(f"{name} must be at least {minimum}, got {value}")
