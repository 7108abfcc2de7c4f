from itertools import pairwise

import numpy as np
import pytest

from pico_maml.callbacks.phases.curve import MAXIMUM_POINTS, MINIMUM_POINTS, analyse
from pico_maml.callbacks.phases.false_alarms import warmup_and_cosine
from pico_maml.callbacks.phases.piecewise import noise

STEPS = np.arange(50) * 10.0
CURVES = 60


def curves(shape, phi, count=CURVES, n=50, seed=0):
    """The phases of noisy copies of a curve, with noise of standard deviation 1."""
    x = np.arange(n) * 10.0
    samples = noise(phi, 1.0, (n, count), np.random.default_rng(seed))
    return [analyse(x, shape(np.linspace(0, 1, n)) + samples[:, i], seed=i) for i in range(count)]


def test_knee_of_a_noisy_tent_lies_in_its_interval():
    analysed = curves(lambda t: 30 * np.minimum(t, 0.8 - t), phi=0.3, count=30)
    assert sum(phases.knee is not None for phases in analysed) >= 29
    knees = [phases.knee for phases in analysed if phases.knee]
    at = 0.4 * 490
    assert np.mean([knee.at.low <= at <= knee.at.high for knee in knees]) >= 0.9
    assert np.median([knee.at.value for knee in knees]) == pytest.approx(at, abs=15)
    assert np.median([knee.rise.value for knee in knees]) == pytest.approx(12, abs=2)
    assert np.median([knee.fall.value for knee in knees]) == pytest.approx(18, abs=2)


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.8])
def test_pure_noise_gives_few_phases(phi):
    analysed = curves(lambda t: 0 * t, phi)
    assert sum(bool(phases.change_points) for phases in analysed) <= 0.1 * CURVES


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
def test_monotone_curves_have_no_phase(shape):
    analysed = curves(shape, phi=0.3)
    assert sum(bool(phases.change_points) for phases in analysed) <= 0.05 * CURVES


@pytest.mark.parametrize("depth", [0.2, 0.3])
def test_a_dip_is_found_where_it_is(depth):
    """A fall by 1 to a fifth of the run, then a rise by `depth`, in noise of a hundredth."""
    analysed = curves(lambda t: 100 * np.interp(t, [0, 0.2, 1], [1, 0, depth]), phi=0.3, count=20)
    dips = [point for phases in analysed for point in phases.change_points if point.kind == "dip"]
    assert len(dips) >= 19
    assert np.mean([dip.at.low <= 98 <= dip.at.high for dip in dips]) >= 0.9
    assert np.median([dip.before.value for dip in dips]) == pytest.approx(100, rel=0.05)
    assert np.median([dip.after.value for dip in dips]) == pytest.approx(100 * depth, rel=0.15)


def test_the_shape_of_a_rank_that_collapses_and_recovers_has_a_dip():
    y = [0.523, 0.187, 0.16, 0.128, 0.143, 0.153, 0.163, 0.173, 0.19, 0.194]
    y += [0.204, 0.212, 0.22, 0.223, 0.231, 0.233, 0.236, 0.237, 0.237]
    (dip,) = analyse(np.arange(19) * 25.0, np.array(y)).change_points
    assert (dip.kind, dip.at.value) == ("dip", 75)
    assert dip.p_value < 0.001
    assert dip.rate_p_value is None


@pytest.mark.parametrize("width", [0.02, 0.05])
def test_a_sigmoid_step_is_found_where_it_is(width):
    analysed = curves(lambda t: 100 / (1 + np.exp((t - 0.5) / width)), phi=0.3, count=20)
    steps = [point for phases in analysed for point in phases.change_points if point.kind == "step"]
    assert len(steps) >= 18
    assert np.mean([step.at.low <= 245 <= step.at.high for step in steps]) >= 0.9


def test_the_learning_rate_explains_a_curve_that_follows_it_and_no_other_peak():
    t = np.linspace(0, 1, 50)
    rate = warmup_and_cosine(t)
    wobble = noise(0.3, 0.02, (50, 20), np.random.default_rng(0)).T
    following = [analyse(t, 1 - 2 * t + 3 * rate + 2 * each, rate).change_points for each in wobble]
    others = [analyse(t, np.interp(t, [0, 0.5, 1], [0.0, 1, 0]) + each, rate).change_points for each in wobble]
    assert sum(bool(points) for points in following) >= 19
    assert sum(point.rate_p_value <= 0.05 for points in following for point in points) <= 1
    assert sum(point.rate_p_value <= 0.05 for points in others for point in points) >= 18


def test_segments_tell_where_a_curve_rises_and_falls():
    shape = np.interp(STEPS, [0, 150, 300, 490], [0.0, 9.0, 3.0, 12.0])
    phases = analyse(STEPS, shape + noise(0, 0.2, (50, 1), np.random.default_rng(0))[:, 0])
    assert [segment.trend for segment in phases.segments] == ["rises", "falls", "rises"]
    assert [point.kind for point in phases.change_points] == ["peak", "dip"]
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
