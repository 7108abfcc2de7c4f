"""Continuous piecewise-linear curves, and the autocorrelated noise around them."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# A curve cannot be told from a random walk above this autocorrelation.
LARGEST_AUTOCORRELATION = 0.95


def design(x: Array, knots: Array) -> Array:
    """Columns 1, x and one hinge max(0, x - knot) a knot.

    Args:
        x: (n,) positions.
        knots: (..., k) positions of the bends.

    Returns:
        (..., n, k + 2).
    """
    hinges = np.maximum(0.0, x[:, None] - knots[..., None, :])
    lines = np.broadcast_to(np.stack([np.ones_like(x), x], axis=-1), (*hinges.shape[:-1], 2))
    return np.concatenate([lines, hinges], axis=-1)


def gains(x: Array, values: Array, knots: Array, candidates: Array) -> Array:
    """By how much one more knot lowers the residual sum of squares.

    Args:
        x: (n,) positions.
        values: (n, b) curves, side by side.
        knots: (k,) knots that are there already.
        candidates: (c,) positions to try.

    Returns:
        (c, b).
    """
    if not len(candidates):
        return np.empty((0, values.shape[1]))
    basis, _ = np.linalg.qr(design(x, knots))
    hinges = np.maximum(0.0, x[:, None] - candidates)
    hinges = hinges - basis @ (basis.T @ hinges)
    sizes = (hinges**2).sum(0)
    sizes[sizes < 1e-12] = np.inf
    return (hinges.T @ values) ** 2 / sizes[:, None]


def coefficients(x: Array, values: Array, knots: Array) -> Array:
    """Least squares for many curves, each with its own knots: (n, b) values and (b, k) knots to (b, k + 2)."""
    return np.einsum("bpn,nb->bp", np.linalg.pinv(design(x, knots)), values)


def autocorrelation(x: Array, values: Array) -> float:
    """The lag-1 autocorrelation of the noise around a curve, in [0, LARGEST_AUTOCORRELATION], one standard error high.

    A flexible curve is taken away: a quadratic spline, and bends where they help most. That also takes autocorrelation
    away, by a known amount: the answer is the one whose residuals are expected to look like those that were found. A
    standard error (Bartlett's, sqrt((1 - r^2) / n)) is added, because too little autocorrelation makes false alarms
    and too much only silence.
    """
    n = len(x)
    at = np.quantile(x, np.arange(1, min(6, n // 6) + 1) / (min(6, n // 6) + 1))
    spline = np.concatenate([design(x, np.empty(0)), x[:, None] ** 2, np.maximum(0.0, x[:, None] - at) ** 2], axis=1)
    bends: list[float] = []
    for _ in range(min(4, n // 12)):
        bends.append(x[1:-1][gains(x, values[:, None], np.array(sorted(bends)), x[1:-1])[:, 0].argmax()])
    columns = np.concatenate([spline, np.maximum(0.0, x[:, None] - np.array(bends))], axis=1)
    left = np.eye(n) - columns @ np.linalg.pinv(columns)
    residual = left @ values
    if not residual.any():
        return 0.0
    found = float(residual[1:] @ residual[:-1] / (residual @ residual))
    found += np.sqrt((1 - found**2) / n)
    tried = np.linspace(0.0, LARGEST_AUTOCORRELATION, 39)
    powers = tried[:, None] ** np.arange(n)
    expected = (powers @ _lag_sums(left[:, 1:] @ left[:-1])) / (powers @ _lag_sums(left))
    # Close to 1 the expectation may turn back; np.interp wants it to rise.
    return float(np.interp(found, np.maximum.accumulate(expected), tried))


def _lag_sums(matrix: Array) -> Array:
    """Sums of the entries that are 0, 1, 2, ... away from the diagonal."""
    n = len(matrix)
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.asarray(np.bincount(lags.ravel(), matrix.ravel(), minlength=n), dtype=np.float64)


def noise(phi: float, sd: float, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Stationary Gaussian AR(1) noise of standard deviation `sd`: (n, b), each column a series."""
    shocks = rng.normal(size=shape)
    series = np.empty(shape)
    series[0] = shocks[0]
    for i in range(1, shape[0]):
        series[i] = phi * series[i - 1] + np.sqrt(1 - phi**2) * shocks[i]
    return sd * series
