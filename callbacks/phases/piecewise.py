"""Continuous piecewise-linear curves, and the autocorrelated noise around them."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]
# Above this autocorrelation, noise cannot be distinguished from a random walk.
LARGEST_AUTOCORRELATION = 0.95


def design(x: Array, knots: Array) -> Array:
    """Columns 1, x and a hinge max(0, x - knot) a knot: (n,) positions and (..., k) knots to (..., n, k + 2)."""
    hinges = np.maximum(0.0, x[:, None] - knots[..., None, :])
    lines = np.broadcast_to(np.stack([np.ones_like(x), x], axis=-1), (*hinges.shape[:-1], 2))
    return np.concatenate([lines, hinges], axis=-1)


def gains(x: Array, values: Array, knots: Array, candidates: Array) -> Array:
    """How much a further knot lowers the residual sum of squares of each curve: (c, b).

    Args:
        values: (n, b) curves at the positions `x` (n,).
        knots: (k,) knots of the fit so far.
        candidates: (c,) positions of the further knot.
    """
    if not len(candidates):
        return np.empty((0, values.shape[1]))
    basis, _ = np.linalg.qr(design(x, knots))
    hinges = np.maximum(0.0, x[:, None] - candidates)
    hinges = hinges - basis @ (basis.T @ hinges)
    sizes = (hinges**2).sum(0)
    sizes[sizes < 1e-12] = np.inf
    return (hinges.T @ values) ** 2 / sizes[:, None]


def autocorrelation(x: Array, values: Array, standard_errors: float = 1.0) -> float:
    """The lag-1 autocorrelation of the noise around a curve, in [0, LARGEST_AUTOCORRELATION], plus standard errors.

    A flexible curve is subtracted first: a quadratic spline with knots where they help most. This also removes some
    autocorrelation, by a known amount: the estimate is the autocorrelation whose expected residuals match the
    measured ones. Bartlett's standard error, sqrt((1 - r^2) / n), is added because too low an estimate causes false
    alarms, and too high an estimate only fewer findings.
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
    measured = float(residual[1:] @ residual[:-1] / (residual @ residual))
    measured += standard_errors * np.sqrt((1 - measured**2) / n)
    tried = np.linspace(0.0, LARGEST_AUTOCORRELATION, 39)
    powers = tried[:, None] ** np.arange(n)
    expected = (powers @ _lag_sums(left[:, 1:] @ left[:-1])) / (powers @ _lag_sums(left))
    # np.interp needs rising values; close to 1 the expectation may fall again.
    return float(np.interp(measured, np.maximum.accumulate(expected), tried))


def _lag_sums(matrix: Array) -> Array:
    """Sums of a matrix's entries at distance 0, 1, 2, ... from the diagonal."""
    n = len(matrix)
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.asarray(np.bincount(lags.ravel(), matrix.ravel(), minlength=n), dtype=np.float64)


def noise(phi: float, sd: float, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Stationary Gaussian AR(1) noise with standard deviation `sd`: (n, b), each column a series."""
    shocks = rng.normal(size=shape)
    shocks[1:] *= np.sqrt(1 - phi**2)
    return sd * lfilter([1.0], [1.0, -phi], shocks, axis=0)
