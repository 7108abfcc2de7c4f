import numpy as np
import pytest

from pico_maml.recipes.compare.results.compute_to_loss import compute_ratio, compute_to_reach


def curve(shift: float) -> list[tuple[float, float]]:
    """Losses that fall by 1 with every doubling of compute."""
    return [(compute, 5 - np.log2(compute * shift)) for compute in (1.0, 2.0, 4.0, 8.0)]


def test_the_loss_is_read_between_two_finished_runs_on_the_logarithm_of_compute():
    compute, bound = compute_to_reach([1, 2, 4], [5, 4, 3], 3.5)
    assert (compute, bound) == (pytest.approx(2 * 2**0.5), False)


def test_what_is_not_reached_is_infinite_and_the_smallest_budget_an_upper_bound():
    assert compute_to_reach([1, 2], [5, 4], 3.9) == (np.inf, False)
    assert compute_to_reach([2, 1], [4, 5], 6.0) == (1.0, True)


def test_an_arm_that_needs_half_of_the_compute():
    shifts = (1.0, 1.1, 0.9)
    ratio = compute_ratio([curve(2 * shift) for shift in shifts], [curve(shift)[-1] for shift in shifts])
    assert ratio.ratios == pytest.approx((0.5, 0.5, 0.5))
    assert (ratio.median, ratio.mean) == (pytest.approx(0.5), pytest.approx(0.5))


def test_a_seed_that_does_not_reach_the_loss_leaves_a_median_and_no_mean():
    ratio = compute_ratio([curve(2), curve(2), curve(0.5)], [curve(1)[-1]] * 3)
    assert ratio.ratios[2] == np.inf
    assert ratio.median == pytest.approx(0.5)
    assert np.isnan([ratio.mean, ratio.low, ratio.high]).all()


def test_the_interval_is_that_of_t_on_logarithms():
    ratio = compute_ratio([curve(2), curve(1.5), curve(1.8)], [curve(1)[-1]] * 3)
    logs = -np.log([2, 1.5, 1.8])
    half = 4.302653 * logs.std(ddof=1) / np.sqrt(3)
    assert (ratio.low, ratio.high) == pytest.approx(tuple(np.exp([logs.mean() - half, logs.mean() + half])), rel=1e-5)
