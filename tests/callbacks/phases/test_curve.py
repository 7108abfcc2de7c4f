from itertools import pairwise

import numpy as np
import pytest

from pico_maml.callbacks.phases.curve import MAXIMUM_POINTS, MINIMUM_POINTS, analyse
from pico_maml.callbacks.phases.piecewise import noise

STEPS = np.arange(50) * 10.0
CURVES = 60


def curves(shape, phi, count=CURVES, n=50, seed=0):
    """The phases of noisy copies of a curve, with noise of standard deviation 1."""
    x = np.arange(n) * 10.0
    samples = noise(phi, 1.0, (n, count), np.random.default_rng(seed))
    return [analyse(x, shape(np.linspace(0, 1, n)) + samples[:, i], seed=i) for i in range(count)]


def test_knee_of_a_noisy_tent_lies_in_its_interval():
    analysed = curves(lambda t: 30 * np.minimum(t, 0.8 - t), phi=0.3)
    assert sum(phases.knee is not None for phases in analysed) >= 0.97 * CURVES
    knees = [phases.knee for phases in analysed if phases.knee]
    at = 0.4 * 490
    assert np.mean([knee.at.low <= at <= knee.at.high for knee in knees]) >= 0.9
    assert np.median([knee.at.value for knee in knees]) == pytest.approx(at, abs=15)
    assert np.median([knee.rise.value for knee in knees]) == pytest.approx(12, abs=2)
    assert np.median([knee.fall.value for knee in knees]) == pytest.approx(18, abs=2)


@pytest.mark.parametrize(("phi", "knees", "change_points"), [(0.0, 3, 6), (0.4, 3, 8), (0.8, 9, 14)])
def test_pure_noise_gives_few_false_alarms(phi, knees, change_points):
    analysed = curves(lambda t: 0 * t, phi)
    # Of 60 curves; autocorrelated noise gives more false alarms, and the report measures how many.
    assert sum(phases.knee is not None for phases in analysed) <= knees
    assert sum(bool(phases.change_points) for phases in analysed) <= change_points


@pytest.mark.parametrize(
    "shape",
    [
        lambda t: 5 * t,
        lambda t: 10 * np.exp(-6 * t),
        lambda t: 10 - 10 * np.exp(-6 * t),
        lambda t: -9 * (t > 0.4) * (t - 0.4),
    ],
    ids=["line", "decay", "saturation", "level, then falling"],
)
def test_monotone_curves_have_no_knee(shape):
    analysed = curves(shape, phi=0.3)
    assert sum(phases.knee is not None for phases in analysed) <= 5


def test_segments_tell_where_a_curve_rises_and_falls():
    shape = np.interp(STEPS, [0, 150, 300, 490], [0.0, 9.0, 9.0, 0.0])
    phases = analyse(STEPS, shape + noise(0, 0.2, (50, 1), np.random.default_rng(0))[:, 0])
    assert [segment.trend for segment in phases.segments] == ["rises", "level or uncertain", "falls"]
    assert [point.at.value for point in phases.change_points] == pytest.approx([150, 300], abs=20)
    first = phases.segments[0].slope
    assert first.low < 9 / 150 < first.high
    assert all(point.p_value <= 0.05 for point in phases.change_points)
    ends = [(segment.start, segment.end) for segment in phases.segments]
    assert ends[0][0] == 0
    assert ends[-1][1] == 490
    assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_knee_of_a_tent_without_noise_is_exact():
    phases = analyse(STEPS, np.minimum(STEPS, 400 - STEPS))
    assert phases.knee is not None
    assert phases.knee.at.value == 200
    assert len(phases.change_points) == 1


def test_a_line_without_noise_has_no_change_point():
    phases = analyse(STEPS, 3 - 0.01 * STEPS)
    assert phases.change_points == []
    assert [segment.trend for segment in phases.segments] == ["falls"]


def test_scale_and_offset_do_not_move_the_knee():
    y = np.minimum(STEPS, 400 - STEPS) + noise(0, 20, (50, 1), np.random.default_rng(0))[:, 0]
    plain, moved = analyse(STEPS, y), analyse(STEPS, 1e-6 * y + 7)
    assert plain.knee
    assert moved.knee
    assert moved.knee.at == plain.knee.at
    assert moved.knee.fall.value == pytest.approx(1e-6 * plain.knee.fall.value)


@pytest.mark.parametrize(
    ("y", "note"),
    [
        ([], "too few points: 0"),
        ([1.0, 2.0], "too few points: 2"),
        (np.arange(MINIMUM_POINTS - 1), "too few points"),
        (np.full(50, 0.1), "constant"),
        (np.zeros(50), "constant"),
        (np.full(50, np.nan), "too few points: 0"),
    ],
)
def test_short_and_constant_curves_have_a_note_and_no_phases(y, note):
    phases = analyse(np.arange(len(y)) * 1.0, np.asarray(y, float))
    assert note in phases.note
    assert phases.knee is None
    assert phases.segments == []


def test_values_that_are_not_finite_do_not_count():
    y = np.minimum(STEPS, 400 - STEPS)
    holes = y.copy()
    holes[[3, 20, 40]] = [np.nan, np.inf, -np.inf]
    phases = analyse(STEPS, holes)
    assert phases.points == 47
    assert phases.knee
    assert phases.knee.at.value == pytest.approx(200, abs=10)


def test_long_curves_are_averaged_to_the_maximum_number_of_points():
    x = np.arange(2050.0)
    phases = analyse(x, np.minimum(x, 1600 - x) + noise(0.3, 50, (2050, 1), np.random.default_rng(0))[:, 0])
    assert phases.points == MAXIMUM_POINTS
    assert phases.knee
    assert phases.knee.at.low <= 800 <= phases.knee.at.high
