import numpy as np
import pytest

from pico_maml.callbacks.phases.departure_test import MAXIMUM_DEPARTURES, find_departures
from pico_maml.callbacks.phases.piecewise import noise
from pico_maml.callbacks.phases.smooth import departures

T = np.linspace(0, 1, 50)


def sigmoid(at):
    return 1 / (1 + np.exp((T - at) / 0.01))


def test_departures_are_found_one_after_the_other_and_p_values_do_not_fall():
    y = np.exp(-6 * T) + sigmoid(0.4) + sigmoid(0.8) + noise(0, 0.005, (50, 1), np.random.default_rng(0))[:, 0]
    model = find_departures(T, y, None)
    assert 2 <= len(model.chosen) <= MAXIMUM_DEPARTURES
    assert sorted(departures(T)[1][model.chosen[:2]]) == pytest.approx([0.4, 0.8], abs=0.03)
    assert model.p_values == sorted(model.p_values)


def test_a_smooth_curve_without_noise_has_no_departure():
    assert find_departures(T, -T, None).chosen == []


def test_a_departure_far_out_has_a_p_value_below_the_number_of_simulations():
    assert (
        find_departures(T, sigmoid(0.5) + noise(0, 0.01, (50, 1), np.random.default_rng(0))[:, 0], None).p_values[0]
        < 1e-4
    )


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_p_values_do_not_depend_on_the_unit(size):
    y = sigmoid(0.5) + noise(0.3, 0.1, (50, 1), np.random.default_rng(1))[:, 0]
    assert find_departures(T, size * y, None).p_values == pytest.approx(find_departures(T, y, None).p_values)
