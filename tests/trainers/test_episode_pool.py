"""The pool of the latest blocks and of the documents that their tokens come from."""

import torch

from pico_maml.trainers.episode_pool import EpisodePool


def batch(first: int) -> torch.Tensor:
    return torch.arange(first, first + 6).view(2, 3)


def test_documents_stay_beside_their_blocks():
    pool = EpisodePool(4, 2)
    for first in (0, 6, 12):
        pool.push(batch(first), batch(first) + 100)
    assert torch.equal(pool.all_documents(), pool.all_blocks() + 100)
    assert pool.all_blocks().flatten().tolist() == list(range(6, 18)), "a full pool dropped the oldest"
    again = EpisodePool(4, 2)
    again.fill(pool.all_blocks(), pool.all_documents())
    assert torch.equal(again.all_documents(), pool.all_documents())


def test_each_block_of_unknown_documents_is_one():
    pool = EpisodePool(8, 2)
    pool.push(batch(0), batch(0))
    for first in (0, 6, 0):
        pool.push(batch(first))
    documents = pool.all_documents()
    assert (documents[2:] < 0).all(), "never the number of a known document"
    assert (documents[2:] == documents[2:, :1]).all()
    assert len(documents[2:6, 0].unique()) == 4
    assert torch.equal(documents[2:4], documents[6:]), "a copy of a block is the same document"
