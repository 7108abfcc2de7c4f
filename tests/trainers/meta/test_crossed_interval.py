import numpy as np
import pytest

from pico_maml.trainers.meta.crossed_interval import crossed_interval

TRIES = 1000


def simulated(generator, words: int, documents: int, outcomes: int, word_spread: float, document_spread: float):
    """Outcomes with mean 0 whose words and documents have effects of known spread."""
    word, document = generator.integers(words, size=outcomes), generator.integers(documents, size=outcomes)
    effects = word_spread * generator.standard_normal(words)[word]
    effects += document_spread * generator.standard_normal(documents)[document]
    return effects + 0.45 * generator.standard_normal(outcomes), word, document


@pytest.mark.parametrize(("words", "documents", "outcomes"), [(30, 200, 960), (100, 60, 1500), (300, 100, 2400)])
@pytest.mark.parametrize(("word_spread", "document_spread"), [(0.25, 0.1), (0.15, 0.15)])
def test_95_percent_intervals_hold_the_mean_in_93_to_97_percent_of_simulations(
    words, documents, outcomes, word_spread, document_spread
):
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(TRIES):
        interval = crossed_interval(*simulated(generator, words, documents, outcomes, word_spread, document_spread))
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / TRIES <= 0.97


def test_interval_over_single_outcomes_would_be_several_times_too_narrow():
    outcomes, words, documents = simulated(np.random.default_rng(0), 100, 60, 6000, 0.25, 0.1)
    crossed = crossed_interval(outcomes, words, documents)
    naive = 2 * 1.96 * outcomes.std() / np.sqrt(len(outcomes))
    assert crossed.high - crossed.low > 3 * naive


def test_independent_outcomes_give_the_interval_of_the_t_test():
    outcomes = np.random.default_rng(0).standard_normal(50)
    interval = crossed_interval(outcomes, np.arange(50), np.arange(50))
    half = 2.0096 * outcomes.std(ddof=1) / np.sqrt(50)
    assert interval.mean == pytest.approx(outcomes.mean())
    assert interval.high - interval.mean == pytest.approx(half, rel=1e-4)


def test_one_word_gives_no_interval():
    interval = crossed_interval([0, 1, 1], ["a", "a", "a"], [1, 2, 3])
    assert interval.mean == pytest.approx(2 / 3)
    assert np.isnan(interval.low)
