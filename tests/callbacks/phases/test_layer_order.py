import numpy as np
import pytest

from pico_maml.callbacks.phases.curve import analyse
from pico_maml.callbacks.phases.layer_order import onset, order_layers, settling
from pico_maml.callbacks.phases.piecewise import noise

X = np.arange(50) * 10.0


def layer(begin, end, seed, sd=0.5):
    """A curve that falls from 10 to 0 between two steps, with noise."""
    return analyse(
        X, np.interp(X, [begin, end], [10.0, 0.0]) + noise(0, sd, (50, 1), np.random.default_rng(seed))[:, 0]
    )


def test_layers_are_ranked_by_when_they_fall_and_when_they_settle():
    order = order_layers({0: layer(200, 300, 0), 1: layer(100, 400, 1), 2: layer(150, 250, 2)})
    assert [times.layer for times in order.layers] == [1, 2, 0]
    assert order.examined == 3
    first = order.layers[0]
    assert first.first > 0.95
    assert first.last == max(times.last for times in order.layers) > 0.6
    assert first.specialises.low <= 100 + 0.1 * 300 <= first.specialises.high + 10
    assert first.reconverges is not None
    assert first.reconverges.value == pytest.approx(100 + 0.9 * 300, abs=25)
    assert sum(times.first for times in order.layers) == pytest.approx(1)
    assert sum(times.last for times in order.layers) == pytest.approx(1)


def test_layers_that_fall_together_share_the_first_place():
    order = order_layers({i: layer(150, 300, 10 + i, sd=0.8) for i in range(4)})
    assert max(times.first for times in order.layers) < 0.95


def test_a_curve_that_falls_to_the_end_has_not_reconverged():
    order = order_layers({0: layer(200, 490, 0), 1: layer(100, 490, 1)})
    assert [times.reconverges for times in order.layers] == [None, None]


def test_no_order_without_two_layers_that_fall():
    flat = analyse(X, noise(0, 1, (50, 1), np.random.default_rng(0))[:, 0])
    rising = analyse(X, X + noise(0, 1, (50, 1), np.random.default_rng(0))[:, 0])
    short = analyse(X[:3], X[:3])
    order = order_layers({0: flat, 1: rising, 2: short, 3: layer(100, 200, 0)})
    assert order.layers == []
    assert order.examined == 4


def test_onset_and_settling_of_curves_without_noise():
    curve = np.interp(np.arange(101), [0, 20, 70, 100], [0.0, 10.0, 0.0, 0.0])
    assert onset(curve) == 25
    assert settling(curve) == 65
    assert settling(np.ones(5)) == 0
