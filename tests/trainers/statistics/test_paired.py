import gc

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from pico_maml.trainers.statistics import compare_pairs, holm, seeds_needed, verdict


def test_t_interval_and_p_are_those_of_a_hand_computation():
    comparison = compare_pairs([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert (comparison.mean, comparison.differences) == (2.0, (1.0, 2.0, 3.0))
    half = 4.302653 / np.sqrt(3)  # t with 2 degrees of freedom, standard deviation 1
    assert (comparison.low, comparison.high) == pytest.approx((2 - half, 2 + half), rel=1e-5)
    assert comparison.p == pytest.approx(0.0741799, rel=1e-4)
    assert comparison.sign_flip_p == pytest.approx(0.25)
    assert comparison.smallest_sign_flip_p == 0.25


def test_arms_that_are_the_same_are_identical():
    comparison = compare_pairs([0.3, 0.4], [0.3, 0.4])
    assert comparison.identical
    assert verdict(comparison, comparison.p, 0.01, lower_is_better=True) == "identical"


def test_one_seed_decides_nothing():
    comparison = compare_pairs([0.1], [0.5])
    assert np.isnan(comparison.p)
    assert verdict(comparison, comparison.p, 0.01, lower_is_better=True).startswith("undecided: one seed")


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        ([-0.20, -0.21, -0.19, -0.20], 0.01, "better"),
        ([0.20, 0.21, 0.19, 0.20], 0.01, "worse"),
        ([-0.0020, -0.0021, -0.0019, -0.0020], 0.01, "better, but below the margin"),
        ([-0.0010, 0.0012, -0.0009, 0.0008], 0.01, "equivalent within the margin"),
        ([-0.05, 0.06, -0.04, 0.05], 0.01, "undecided"),
    ],
)
def test_verdicts(differences, margin, expected):
    comparison = compare_pairs(differences, np.zeros(len(differences)))
    shown = verdict(comparison, comparison.p, margin, lower_is_better=True)
    assert shown == expected or (expected == "undecided" and shown.startswith("undecided: about"))


def test_constant_differences_are_certain():
    comparison = compare_pairs([1.5, 2.5], [1.0, 2.0])
    assert (comparison.low, comparison.high, comparison.p) == (0.5, 0.5, 0.0)
    assert comparison.equivalence_p(0.6) == 0.0
    assert comparison.equivalence_p(0.4) == 1.0


def test_interval_and_tests_are_those_of_scipy_and_statsmodels():
    differences = np.random.default_rng(0).normal(0.02, 0.03, 5)
    comparison = compare_pairs(differences, np.zeros(5))
    expected = stats.ttest_1samp(differences, 0)
    assert comparison.p == pytest.approx(expected.pvalue)
    assert (comparison.low, comparison.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert comparison.other_variance == pytest.approx(0)
    for margin in (0.01, 0.02, 0.1):
        assert comparison.equivalence_p(margin) == pytest.approx(
            DescrStatsW(differences).ttost_mean(-margin, margin)[0]
        )


def test_variance_that_all_seeds_share_widens_the_interval_and_weakens_both_tests():
    differences = np.array([0.1, 0.12, 0.11, 0.13])
    narrow, wide = (compare_pairs(differences, np.zeros(4), other_variance=more) for more in (0.0, 0.02**2))
    assert wide.error**2 - narrow.error**2 == pytest.approx(0.02**2) == wide.other_variance
    assert wide.high - wide.mean == pytest.approx(3.182446 * wide.error)
    assert wide.p > narrow.p
    assert wide.equivalence_p(0.2) > narrow.equivalence_p(0.2)


def test_no_number_of_seeds_finds_what_the_test_set_is_too_small_for():
    differences = [0.001, -0.001, 0.002]
    comparison = compare_pairs(differences, np.zeros(3), other_variance=0.02**2)
    shown = verdict(comparison, comparison.p, 0.02, lower_is_better=False)
    assert shown.startswith("undecided: no number of seeds")
    assert seeds_needed(0.02, 0.05, other_variance=0.01**2) > seeds_needed(0.02, 0.05)


def test_an_undecided_large_difference_needs_the_seeds_that_show_it_at_the_corrected_level():
    comparison = compare_pairs([0.38, 0.44, 0.5], np.zeros(3))
    (adjusted, *_) = holm([comparison.p, *[0.5] * 79])
    shown = verdict(comparison, adjusted, 0.02, lower_is_better=True, tests=80)
    assert shown == "undecided: about 5 seeds would show one as large as it looks, 0.44"
    assert stats.nct.sf(stats.t.isf(0.05 / 160, 4), 4, 0.44 / 0.06 * 5**0.5) >= 0.8
    assert stats.nct.sf(stats.t.isf(0.05 / 160, 3), 3, 0.44 / 0.06 * 4**0.5) < 0.8


def test_holm_steps_down_and_keeps_what_is_unknown():
    assert holm([0.01, 0.04, np.nan, 0.03])[:2] == pytest.approx([0.03, 0.06])
    assert np.isnan(holm([0.01, np.nan])[1])


def test_seeds_needed_reaches_the_power_it_promises():
    needed = seeds_needed(spread=1.0, difference=1.0)
    generator = np.random.default_rng(0)
    found = [compare_pairs(generator.normal(1, 1, needed), np.zeros(needed)).p < 0.05 for _ in range(400)]
    assert 0.74 <= np.mean(found) <= 0.88
    assert seeds_needed(spread=10.0, difference=0.01) == 1001


@pytest.mark.parametrize("values", [([1.0], [1.0, 2.0]), ([], []), ([1.0, np.nan], [1.0, 2.0])])
def test_values_that_are_no_pairs_are_an_error(values):
    with pytest.raises(ValueError, match="finite values"):
        compare_pairs(*values)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_any_false_rejection_in_a_family_of_six_tests_is_at_most_5_percent(seeds, monkeypatch):
    # statsmodels collects garbage in every correction, which takes most of the time here.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    generator = np.random.default_rng(seeds)
    tries = 400
    families = generator.normal(0, 0.03, (tries, 6, seeds))
    p_values = [[compare_pairs(differences, np.zeros(seeds)).p for differences in family] for family in families]
    uncorrected = np.mean([min(family) < 0.05 for family in p_values])
    corrected = np.mean([min(holm(family)) < 0.05 for family in p_values])
    assert uncorrected > 0.15
    assert corrected <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tries)
