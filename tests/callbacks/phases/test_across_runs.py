import numpy as np
import pytest
from scipy.stats import spearmanr

from pico_maml.callbacks.phases.across_runs import MINIMUM_RUNS, relate


def test_fewer_than_five_runs_have_a_note_instead_of_a_correlation():
    relation = relate(np.array([1.0, 2, 3, 4, np.nan, 6]), np.array([1.0, 2, 3, np.nan, 5, np.nan]))
    assert relation.runs == 3
    assert relation.correlation is None
    assert relation.note == f"too few runs: 3 with both values, at least {MINIMUM_RUNS} are needed"


def test_correlation_equals_scipys_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    first = rng.normal(size=12).round(1)
    second = first + rng.normal(size=12)
    relation = relate(first, second)
    assert relation.correlation is not None
    assert relation.correlation.value == pytest.approx(spearmanr(first, second).statistic)
    assert -1 <= relation.correlation.low < relation.correlation.value < relation.correlation.high <= 1


@pytest.mark.parametrize(("runs", "rho"), [(5, 0.0), (8, 0.8), (15, 0.5)])
def test_interval_covers_the_correlation_of_normal_values(runs, rho, monkeypatch):
    monkeypatch.setattr("pico_maml.callbacks.phases.across_runs.PERMUTATIONS", 1)
    rng = np.random.default_rng(runs)
    true = 6 / np.pi * np.arcsin(rho / 2)
    tries, covered = 600, 0
    for _ in range(tries):
        first, noise = rng.normal(size=(2, runs))
        correlation = relate(first, rho * first + np.sqrt(1 - rho**2) * noise).correlation
        covered += correlation.low <= true <= correlation.high
    assert covered / tries >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / tries)


def test_equal_order_of_five_runs_leaves_the_correlation_uncertain():
    correlation = relate(np.arange(5.0), np.arange(5.0)).correlation
    assert correlation.low < 0.5
    assert correlation.high == 1


def test_permutation_of_five_runs_is_exact():
    relation = relate(np.arange(5.0), np.arange(5.0))
    assert relation.p_value == pytest.approx(2 / 120)


def test_unrelated_runs_are_rarely_significant():
    rng = np.random.default_rng(1)
    p_values = [relate(rng.normal(size=6), rng.normal(size=6), seed=i).p_value for i in range(30)]
    assert sum(p <= 0.05 for p in p_values if p is not None) <= 5


def test_a_constant_side_has_a_note_instead_of_a_correlation():
    assert relate(np.ones(8), np.arange(8.0)).note == "one of the two is the same in all runs"
