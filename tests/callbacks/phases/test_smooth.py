import numpy as np
import pytest

from pico_maml.callbacks.phases.false_alarms import SMOOTH, warmup_and_cosine
from pico_maml.callbacks.phases.smooth import departures, fit, gains, rising_columns

T = np.linspace(0, 1, 80)
NONE = np.empty((80, 0))


@pytest.mark.parametrize("shape", [name for name in SMOOTH if name != "learning rate"])
def test_smooth_shapes_are_fitted_to_a_hundredth_of_their_range(shape):
    y = SMOOTH[shape](T) - SMOOTH[shape](T).mean()
    assert np.abs(fit(rising_columns(T, None), NONE, y).values - y).max() <= 0.01 * (np.ptp(y) or 1)


def test_fits_are_monotone():
    for seed in range(5):
        y = np.random.default_rng(seed).normal(size=80).cumsum()
        best = fit(rising_columns(T, None), NONE, y - y.mean())
        assert (best.direction * np.diff(best.values) >= -1e-9).all()


def test_a_step_and_a_dip_are_not_fitted():
    for y in (np.tanh((T - 0.5) / 0.02), np.interp(T, [0, 0.3, 1], [1.0, 0, 0.3])):
        y = y - y.mean()
        assert fit(rising_columns(T, None), NONE, y).rss > 0.01 * (y @ y)


def test_with_the_learning_rate_a_curve_follows_it_but_turns_nowhere_else():
    rate = warmup_and_cosine(T)
    columns = rising_columns(T, rate)
    for y in (2 * rate - T, T - 2 * rate):
        y = y - y.mean()
        assert fit(columns, NONE, y).rss < 1e-6 * (y @ y)
    late = np.interp(T, [0, 0.6, 1], [1.0, 0, 0.5])
    late -= late.mean()
    assert fit(columns, NONE, late).rss > 0.02 * (late @ late)


def test_gain_of_a_column_is_the_drop_of_the_least_squares_residual():
    rng = np.random.default_rng(0)
    active, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    columns = departures(T)[0][:, ::40]

    def residual(design):
        return ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum(0)

    expected = [residual(active) - residual(np.column_stack([active, column])) for column in columns.T]
    np.testing.assert_allclose(gains(active, columns, y), expected, rtol=1e-6)
