import numpy as np

from pico_maml.callbacks.phases.false_alarms import measure_false_alarms


def test_false_alarms_are_counted_on_noise_of_the_given_length_and_autocorrelation():
    alarms = measure_false_alarms(np.arange(30.0), 0.3, curves=30)
    assert (alarms.curves, alarms.points, alarms.autocorrelation) == (30, 30, 0.3)
    assert 0 <= alarms.knees <= alarms.change_points <= 5
    assert measure_false_alarms(np.arange(30.0), 0.3, curves=30) == alarms
