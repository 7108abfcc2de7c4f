import numpy as np
import pytest

from pico_maml.trainers.ner.analysis.bootstrap import paired_bootstrap
from pico_maml.trainers.ner.entity_counts import micro_f1


def counts(correct: np.ndarray) -> np.ndarray:
    """Sentences with two gold entities and two predictions, of which so many are correct."""
    two = np.full_like(correct, 2)
    return np.stack([correct, two, two], axis=-1)


def test_equal_systems_have_no_difference_and_p_value_1():
    first = counts(np.arange(100) % 3)
    assert paired_bootstrap(first, first) == (0.0, 0.0, 0.0, 1.0)


def test_p_value_of_a_system_that_is_better_everywhere_is_the_smallest():
    first, second = counts(np.full(50, 1)), counts(np.full(50, 2))
    difference = paired_bootstrap(first, second, samples=999)
    assert difference.difference == difference.low == difference.high == 0.5
    assert difference.p_value == pytest.approx(2 / 1000)
    back = paired_bootstrap(second, first, samples=999)
    assert (back.difference, back.p_value) == (-0.5, difference.p_value)


def test_p_values_and_intervals_of_chance_differences_are_calibrated():
    """Two systems of the same quality differ at the 10 % level about one time in ten."""
    rng = np.random.default_rng(1)
    differences = [
        paired_bootstrap(counts(rng.integers(0, 3, 200)), counts(rng.integers(0, 3, 200)), 200, seed)
        for seed in range(200)
    ]
    assert 0.05 < np.mean([difference.p_value < 0.1 for difference in differences]) < 0.16
    assert 0.9 < np.mean([difference.low <= 0 <= difference.high for difference in differences]) < 0.99


def test_difference_is_that_of_micro_f1_and_needs_the_same_sentences():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, (40, 3)), rng.integers(0, 3, (40, 3))
    difference = paired_bootstrap(first, second)
    assert difference.difference == pytest.approx(micro_f1(second.sum(0)) - micro_f1(first.sum(0)))
    assert difference.low <= difference.difference <= difference.high
    assert difference == paired_bootstrap(first, second), "the same seed, the same interval"
    with pytest.raises(ValueError, match="40 and 39 sentences"):
        paired_bootstrap(first, second[:39])
