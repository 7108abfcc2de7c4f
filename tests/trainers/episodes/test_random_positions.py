import pytest
import torch

from pico_maml.trainers import InputError
from pico_maml.trainers.episodes import episode_generator
from pico_maml.trainers.episodes.random_positions import sample_random_positions

MASK = 0


def zipf(rows: int, length: int = 256, vocabulary: int = 5000) -> torch.Tensor:
    """Text in which token i is as frequent as 1 / i, as words are."""
    weights = 1 / torch.arange(1, vocabulary + 1.0)
    drawn = torch.multinomial(weights, rows * length, True, generator=torch.Generator().manual_seed(0))
    return drawn.view(rows, length) + 1


def test_rows_share_positions_and_tokens_beyond_the_classes_are_labelled_0():
    ids = zipf(32)
    episode = sample_random_positions(ids, MASK, 32, 4, 1, episode_generator(0, 0, 0))
    support, query = episode.support, episode.query
    assert (len(support), len(query), len(episode.words)) == (32 * 4, 32, 32)
    assert support.positions.view(32, 4).eq(support.positions[:4]).all()
    assert not set(support.positions.tolist()) & set(query.positions.tolist())
    for examples in (support, query):
        assert (examples.ids == MASK).sum(1).eq(len(examples) // 32).all()
        hidden = ids[examples.rows, examples.positions]
        known = torch.isin(hidden, episode.words)
        assert torch.equal(episode.words[examples.labels][known], hidden[known])
        assert (examples.labels[~known] == 0).all()
    assert episode.words.tolist() == list(dict.fromkeys(ids[:, support.positions[:4]].flatten().tolist()))[:32]


def test_held_out_words_are_labelled_0():
    ids = zipf(32)
    held_out = torch.arange(5001) % 2 == 0
    episode = sample_random_positions(ids, MASK, 32, 4, 1, episode_generator(0, 0, 0), held_out)
    assert (episode.words % 2 == 1).all()
    hidden = ids[episode.support.rows, episode.support.positions]
    assert (episode.support.labels[held_out[hidden]] == 0).all()


def test_class_0_grows_with_the_batch():
    shares = []
    for rows in (32, 256):
        episode = sample_random_positions(zipf(rows), MASK, 32, 4, 1, episode_generator(0, 0, 0))
        shares.append(episode.query.labels.eq(0).float().mean().item())
    # The published code reaches 88 and 96 % on its own corpus.
    assert 0.3 < shares[0] < shares[1]


def test_one_distinct_token_gives_no_episode_and_too_short_rows_are_an_input_error():
    assert sample_random_positions(torch.full((4, 16), 7), MASK, 4, 2, 1, episode_generator(0, 0, 0)) is None
    with pytest.raises(InputError, match="k_shot \\+ n_query is 20, more than the 16 tokens"):
        sample_random_positions(torch.full((4, 16), 7), MASK, 4, 18, 2, episode_generator(0, 0, 0))
