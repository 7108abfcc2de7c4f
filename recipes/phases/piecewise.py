"""Continuous piecewise-linear curves, and the autocorrelated noise around them."""

from functools import lru_cache

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

    A flexible quadratic spline takes the curve away. That also takes autocorrelation away, by a known amount: the
    answer is the one whose residuals are expected to look like those that were found. A standard error (Bartlett's,
    sqrt((1 - r^2) / n)) is added, because too little autocorrelation makes false alarms and too much only silence.
    """
    knots = min(6, len(x) // 6)
    residual, expected, tried = _residual_maker(x.tobytes(), knots)
    noise = residual @ values
    if not noise.any():
        return 0.0
    found = float(noise[1:] @ noise[:-1] / (noise @ noise))
    found += np.sqrt((1 - found**2) / len(x))
    return float(np.interp(found, expected, tried))


def noise(phi: float, sd: float, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Stationary Gaussian AR(1) noise of standard deviation `sd`: (n, b), each column a series."""
    shocks = rng.normal(size=shape)
    series = np.empty(shape)
    series[0] = shocks[0]
    for i in range(1, shape[0]):
        series[i] = phi * series[i - 1] + np.sqrt(1 - phi**2) * shocks[i]
    return sd * series


@lru_cache(maxsize=64)
def _residual_maker(x_bytes: bytes, knots: int) -> tuple[Array, Array, Array]:
    """What the spline leaves, as a projection, and the lag-1 autocorrelations found in it for true ones on a grid."""
    x = np.frombuffer(x_bytes)
    n = len(x)
    bends = np.maximum(0.0, x[:, None] - np.quantile(x, np.arange(1, knots + 1) / (knots + 1))) ** 2
    columns = np.concatenate([np.stack([np.ones_like(x), x, x**2], axis=1), bends], axis=1)
    residual = np.eye(n) - columns @ np.linalg.pinv(columns)
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    tried = np.linspace(0.0, LARGEST_AUTOCORRELATION, 39)
    expected = []
    for phi in tried:
        covariance = residual @ (phi**lags) @ residual
        expected.append(np.trace(covariance, offset=1) / np.trace(covariance))
    # Close to 1 the expectation may turn back; np.interp wants it to rise.
    return residual, np.maximum.accumulate(np.array(expected)), tried
