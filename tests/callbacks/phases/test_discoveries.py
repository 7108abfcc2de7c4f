from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from pico_maml.callbacks.phases.curve import ChangePoint, CurvePhases, Estimate
from pico_maml.callbacks.phases.discoveries import discoveries

AT = Estimate(1.0, 0.0, 2.0)


def curve(*p_values, rate=None):
    return CurvePhases(50, change_points=[ChangePoint("dip", AT, AT, AT, p, rate) for p in p_values])


def test_curves_without_a_phase_count_as_tests_too():
    curves = [curve(0.001), *[curve()] * 99]
    assert discoveries(curves)[0].change_points == []
    assert discoveries(curves[:20])[0].change_points[0].p_value == pytest.approx(0.02)
    # A curve that was not analysed is no test.
    noted = [curves[0], *[replace(curve(), note="constant")] * 99]
    assert discoveries(noted)[0].change_points[0].p_value == pytest.approx(0.001)


def test_phases_stay_with_their_curve_and_get_adjusted_p_values():
    curves = [curve(0.01, 0.9), curve(), curve(0.02), curve(0.03)]
    kept = discoveries(curves)
    adjusted = false_discovery_control([0.01, 0.9, 0.02, 0.03, 1.0])
    assert [[point.p_value for point in each.change_points] for each in kept] == [
        [pytest.approx(adjusted[0])],
        [],
        [pytest.approx(adjusted[2])],
        [pytest.approx(adjusted[3])],
    ]


def test_p_values_beside_the_learning_rate_are_adjusted_on_their_own():
    kept = discoveries([curve(1e-9, rate=0.04), curve(1e-9), *[curve()] * 3])
    assert kept[0].change_points[0].rate_p_value == pytest.approx(0.04 * 4)
    assert kept[1].change_points[0].rate_p_value is None


def test_one_in_twenty_discoveries_is_false():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        true, false = rng.uniform(size=10) * 1e-4, rng.uniform(size=90)
        kept = discoveries([curve(p) for p in (*true, *false)])
        wrong = sum(bool(each.change_points) for each in kept[10:])
        shares.append(wrong / max(1, sum(bool(each.change_points) for each in kept)))
    assert 0.02 < np.mean(shares) <= 0.05


def test_no_curves_give_no_discoveries():
    assert discoveries([]) == []
