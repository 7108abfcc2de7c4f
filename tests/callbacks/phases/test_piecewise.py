import numpy as np
import pytest

from pico_maml.callbacks.phases.piecewise import autocorrelation, design, gains, noise

X = np.linspace(0, 1, 60)


def test_gain_of_a_knot_equals_the_drop_of_the_least_squares_residual():
    y = np.random.default_rng(0).normal(size=60)

    def residual(knots):
        columns = design(X, np.array(knots))
        return ((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]) ** 2).sum()

    gain = gains(X, y[:, None], np.array([0.2]), np.array([0.5, 0.7]))[:, 0]
    expected = [residual([0.2]) - residual([0.2, knot]) for knot in (0.5, 0.7)]
    np.testing.assert_allclose(gain, expected, rtol=1e-9)
    # A knot that the fit already has adds nothing.
    assert gains(X, y[:, None], np.array([0.2]), np.array([0.2]))[0, 0] == pytest.approx(0, abs=1e-12)


def test_noise_has_the_given_variance_and_autocorrelation():
    drawn = noise(0.7, 2.0, (50, 4000), np.random.default_rng(0))
    assert drawn.std() == pytest.approx(2.0, rel=0.03)
    assert (drawn[1:] * drawn[:-1]).mean() / (drawn**2).mean() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_autocorrelation_is_estimated_around_a_curve_with_an_upward_bias(phi):
    x = np.linspace(0, 1, 100)
    drawn = noise(phi, 1.0, (100, 100), np.random.default_rng(1))
    estimates = [autocorrelation(x, 5 * np.exp(-4 * x) + drawn[:, i]) for i in range(100)]
    assert phi <= np.mean(estimates) < phi + 0.25
    assert np.mean(np.array(estimates) >= phi) > 0.6


def test_a_curve_without_noise_has_no_autocorrelation():
    assert autocorrelation(X, np.zeros(60)) == 0.0
