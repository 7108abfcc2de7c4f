"""Linear centred kernel alignment (CKA): similarity of two sets of activations up to rotation and scale."""

from torch import Tensor


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Return `CKA = |Y^T X|^2 / (|X^T X| |Y^T Y|)` of centred activations (Kornblith et al. 2019, eq. 10).

    With fewer examples than features it is biased towards 1: compare only values over the same examples.

    Args:
        x: (n, p) activations of n examples.
        y: (n, q) activations of the same examples.

    Returns:
        Between 0 and 1; NaN if one side is the same for all examples or has NaN.
    """
    x, y = (side.double() - side.double().mean(0) for side in (x, y))
    if len(x) < min(x.shape[1], y.shape[1]):
        # The same three norms from (n, n) matrices, which are smaller here.
        k, l = x @ x.T, y @ y.T  # noqa: E741 (their names in the paper)
        return ((k * l).sum() / (k.norm() * l.norm())).item()
    return ((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()
