import numpy as np
import pytest

from pico_maml.trainers.ner.analysis.significance import compare_arms
from pico_maml.trainers.ner.entity_counts import micro_f1

SENTENCES = 250


def counts(correct: np.ndarray) -> np.ndarray:
    """One fine-tuning of sentences with two gold entities and two predictions, of which so many are correct."""
    two = np.full_like(correct, 2)
    return np.stack([correct, two, two], axis=-1)[None]


def simulated_runs(generator: np.random.Generator, f1: float, runs: int, spread: float) -> list[np.ndarray]:
    """Runs whose F1 varies by seed with this standard deviation, on sentences of one test set."""
    means = f1 + spread * generator.standard_normal(runs)
    return [counts(generator.binomial(2, np.clip(mean, 0, 1), SENTENCES)) for mean in means]


def test_equal_arms_have_no_difference():
    arm = [counts(np.arange(100) % 3), counts(np.arange(100) % 2)]
    difference = compare_arms(arm, arm)
    assert (difference.difference, difference.low, difference.high, difference.p) == (0.0, 0.0, 0.0, 1.0)


def test_one_run_an_arm_has_an_interval_over_sentences_and_no_p_value():
    rng = np.random.default_rng(0)
    first, second = counts(rng.integers(0, 2, 90)), counts(rng.integers(1, 3, 90))
    difference = compare_arms([first], [second])
    assert difference.difference == pytest.approx(micro_f1(second[0].sum(0)) - micro_f1(first[0].sum(0)))
    assert difference.sentences_low < difference.difference < difference.sentences_high
    assert np.isnan([difference.low, difference.high, difference.p]).all()
    assert compare_arms([first], [second]) == pytest.approx(difference, nan_ok=True), (
        "the same seed, the same interval"
    )


def test_interval_over_sentences_covers_the_difference_of_two_checkpoints():
    rng = np.random.default_rng(1)
    differences = [
        compare_arms([counts(rng.integers(0, 3, 200))], [counts(rng.integers(0, 3, 200))], 200, seed)
        for seed in range(200)
    ]
    assert 0.9 < np.mean([each.sentences_low <= 0 <= each.sentences_high for each in differences]) < 0.99


def test_runs_with_equal_sentences_have_the_paired_t_interval_of_their_f1():
    """Sentences that are all alike add no variance: 4.302653 is the quantile of t with two degrees of freedom."""
    first = [counts(np.full(50, 1))] * 3
    second = [counts(np.tile([1, correct], 25)) for correct in (1, 2, 0)]
    second = [np.broadcast_to(run.sum(1, keepdims=True), run.shape) for run in second]
    difference = compare_arms(first, second, 50)
    gains = np.array([0.0, 0.25, -0.25])
    assert difference.difference == pytest.approx(gains.mean())
    assert difference.high - difference.difference == pytest.approx(4.302653 * gains.std(ddof=1) / np.sqrt(3))
    assert difference.p == pytest.approx(1)


def test_fine_tuning_seeds_are_averaged_within_a_run():
    rng = np.random.default_rng(2)
    first, second = (
        [np.concatenate([counts(rng.integers(0, 3, 60)) for _ in range(seeds)]) for seeds in (3, 1)] for _ in "ab"
    )
    difference = compare_arms(first, second, 20)
    means = [np.mean([micro_f1(run.sum(1)).mean() for run in arm]) for arm in (first, second)]
    assert (difference.runs, difference.difference) == (2, pytest.approx(means[1] - means[0]))


@pytest.mark.parametrize("runs", [3, 5, 8])
@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_false_positives_without_an_effect_are_at_most_5_percent(runs, spread):
    generator = np.random.default_rng(runs)
    tries, false, by_sentences = 300, 0, 0
    for _ in range(tries):
        first, second = (simulated_runs(generator, 0.3, runs, spread) for _ in "ab")
        false += compare_arms(first, second, 50).p < 0.05
        # What a test that takes runs as fixed says: all counts together, as of one run.
        pooled = compare_arms(*([np.concatenate(arm)] for arm in (first, second)), 50)
        by_sentences += pooled.sentences_low > 0 or pooled.sentences_high < 0
    assert false / tries <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tries)
    assert spread == 0 or by_sentences / tries > 0.15, "the simulation does not show the fault of a fixed seed"


def test_effect_of_four_spreads_is_found_with_five_runs():
    generator = np.random.default_rng(0)
    arms = [(simulated_runs(generator, f1, 5, 0.03) for f1 in (0.3, 0.42)) for _ in range(60)]
    assert np.mean([compare_arms(list(a), list(b), 50).p < 0.05 for a, b in arms]) > 0.8


def test_sentences_that_all_runs_share_widen_the_interval():
    """The same few sentences gain in every run: certain over runs, and uncertain over sentences."""
    rng = np.random.default_rng(3)
    base = rng.integers(0, 2, 60)
    better = base + (rng.random(60) < 0.1)
    difference = compare_arms([counts(base)] * 4, [counts(better)] * 4)
    assert difference.low < difference.difference < difference.high


def test_runs_and_sentences_must_pair():
    run, shorter = counts(np.ones(40, dtype=int)), counts(np.ones(39, dtype=int))
    with pytest.raises(ValueError, match="39 and 40 sentences"):
        compare_arms([run], [shorter])
    with pytest.raises(ValueError, match="2 and 1 runs"):
        compare_arms([run, run], [run])
    with pytest.raises(ValueError, match="0 and 0 runs"):
        compare_arms([], [])
