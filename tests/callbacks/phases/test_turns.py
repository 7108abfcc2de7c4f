import numpy as np
import pytest

from pico_maml.callbacks.phases.turns import measure, turns

T = np.linspace(0, 1, 101)


def test_peaks_and_dips_have_their_places_and_sizes():
    curve = np.interp(T, [0, 0.2, 0.5, 1], [0.0, 3, 1, 2])
    peak, dip = turns(T, curve, curve)
    assert (peak.kind, peak.at, *peak.sizes) == ("peak", 0.2, pytest.approx(3), pytest.approx(2))
    assert (dip.kind, dip.at, *dip.sizes) == ("dip", 0.5, pytest.approx(2), pytest.approx(1))
    moved = np.interp(T, [0, 0.3, 0.5, 1], [0.0, 4, 1, 2])
    assert pytest.approx(np.array([[0.2, 3, 2], [0.3, 4, 3]])) == measure(peak, T, np.stack([curve, moved])).T


def test_a_turn_below_a_twentieth_of_the_range_does_not_count():
    shallow = np.interp(T, [0, 0.5, 1], [1.0, 0, 0.04])
    assert turns(T, shallow, 0 * T) == []
    assert len(turns(T, np.interp(T, [0, 0.5, 1], [1.0, 0, 0.06]), 0 * T)) == 1


def test_a_step_is_steep_late_and_not_of_the_smooth_part():
    def sigmoid(at):
        return 1 / (1 + np.exp(-(T - at) / 0.01))

    (step,) = turns(T, sigmoid(0.6), sigmoid(0.6))
    assert (step.kind, step.sign) == ("step", -1)
    assert step.at == pytest.approx(0.6, abs=0.01)
    assert step.sizes == pytest.approx([0.99, 0.99], abs=0.01)
    assert turns(T, sigmoid(0.6), 0 * T) == []
    assert turns(T, sigmoid(0.03), sigmoid(0.03)) == []
    assert turns(T, T, T) == []
