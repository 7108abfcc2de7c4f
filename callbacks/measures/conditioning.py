"""How the largest singular value of a matrix compares with the others."""

from torch import Tensor

from .effective_rank import singular_values


def condition_number(matrix: Tensor) -> float:
    """Return the largest singular value divided by the smallest; infinite or NaN without full rank."""
    singular = singular_values(matrix)
    return (singular[0] / singular[-1]).item()


def stable_rank(matrix: Tensor) -> float:
    """Return |A|_F^2 / |A|_2^2 (Rudelson and Vershynin 2007): between 1 and the rank; NaN for a matrix of zeros."""
    singular = singular_values(matrix).double()
    return ((singular / singular[0]) ** 2).sum().item()
