import numpy as np
import pytest

from pico_maml.callbacks.phases.false_alarms import SMOOTH, found, measure_false_alarms, simulate


def test_at_most_one_in_twenty_smooth_curves_has_a_phase():
    alarms = measure_false_alarms(points=50, autocorrelation=0.5, curves=20)
    assert (alarms.curves, alarms.points, alarms.autocorrelation) == (120, 50, 0.5)
    assert alarms.found <= 6
    assert measure_false_alarms(points=50, autocorrelation=0.5, curves=20) == alarms


def test_a_phase_that_the_learning_rate_does_not_explain_is_found():
    phases = simulate(lambda t: np.interp(t, [0, 0.6, 1], [1.0, 0, 0.5]), 50, 0.3, 0.01, curves=10)
    assert all(found(each) for each in phases)


@pytest.mark.slow
@pytest.mark.parametrize("points", [20, 50, 100])
@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
@pytest.mark.parametrize("shape", SMOOTH)
def test_at_most_one_in_twenty_curves_of_every_shape_has_a_phase(shape, autocorrelation, points):
    analysed = simulate(SMOOTH[shape], points, autocorrelation, 0.02, curves=200)
    # 5 % and two standard errors of 200 draws.
    assert sum(map(found, analysed)) <= 16
