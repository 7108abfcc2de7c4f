"""Support and query of a class share no document and no text right before their word."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_maml.trainers.episodes import (
    READOUTS,
    count_words,
    episode_generator,
    sample_episode,
    sample_stream_episode,
)

MASK = 0
LENGTH = 48

shapes = st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3))


def text(seed: int, rows: int = 40, vocabulary: int = 50) -> torch.Tensor:
    """Running text in which four tokens often come again, because each token has two that may follow it."""
    generator = torch.Generator().manual_seed(seed)
    follows = torch.randint(1, vocabulary, (vocabulary, 2), generator=generator)
    tokens = [1]
    for choice in torch.randint(4, (rows * LENGTH - 1,), generator=generator).tolist():
        random = int(torch.randint(1, vocabulary, (), generator=generator))
        tokens.append(int(follows[tokens[-1], choice]) if choice < 2 else random)
    return torch.tensor(tokens).view(rows, LENGTH)


def numbers(seed: int, rows: int = 40, documents: int = 12) -> torch.Tensor:
    """Documents of random lengths, which end within rows and go on over rows."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(rows * LENGTH, (documents - 1,), generator=generator)
    return torch.bucketize(torch.arange(rows * LENGTH), ends.sort().values).view(rows, LENGTH)


def places(ids: torch.Tensor, window: torch.Tensor, word: int, offset: int) -> list[tuple[int, int]]:
    """All places (row, column) of `word` whose window in `ids` is `window`, apart from the mask."""
    windows = ids.unfold(1, len(window), 1)
    same = ((windows == window) | (window == MASK)).all(-1)
    return [
        (row, start + offset)
        for row, start in torch.nonzero(same).tolist()
        if start + offset < LENGTH and ids[row, start + offset] == word
    ]


def check_apart(episode, ids, documents, window, readout) -> None:
    """The windows of a class lie in one document each, and support and query share neither it nor four tokens."""
    offset = {"mask": window - 1, "previous": window, "last": window // 2}[readout]
    for label, word in enumerate(episode.words.tolist()):
        seen = []
        for examples in (episode.support, episode.query):
            mine = examples.labels == label
            contexts, homes = set(), set()
            for row, document in zip(examples.ids[mine], examples.documents[mine].tolist(), strict=True):
                for r, c in places(ids, row, word, offset):
                    if documents[r, c] == document:
                        begin = c - offset
                        assert set(documents[r, begin : begin + window].tolist()) == {document}, "one document"
                        break
                else:
                    raise AssertionError("a window is text of the document that it names")
                contexts.add(tuple(row[max(offset - 4, 0) : offset].tolist()))
                homes.add(document)
            seen.append((contexts, homes))
        (support_contexts, support_homes), (query_contexts, query_homes) = seen
        assert not support_contexts & query_contexts
        assert not support_homes & query_homes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), shape=shapes, readout=st.sampled_from(READOUTS), window=st.integers(2, 12))
def test_support_and_query_of_a_class_share_no_document_and_no_context(seed, shape, readout, window):
    ids, documents = text(seed), numbers(seed)
    options = {"documents": documents, "window": window, "readout": readout, "max_frequency": 1.0}
    episode = sample_episode(ids, MASK, *shape, episode_generator(seed, 0, 0), **options)
    available = count_words(ids, MASK, *shape[1:], **options)
    assert (episode is None) == (available < shape[0])
    if episode is not None:
        check_apart(episode, ids, documents, window, readout)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), shape=shapes, window=st.integers(4, 12))
def test_stream_episodes_share_no_document_and_no_context(seed, shape, window):
    ids, documents = text(seed), numbers(seed)
    # Documents that end in the past, documents that begin in the batch, and some that are in both.
    past, batch = ids[:28], ids[28:]
    documents[30:34] = documents[10:14]
    options = {"documents": documents, "window": window, "max_frequency": 1.0}
    episode = sample_stream_episode(past, batch, MASK, *shape, episode_generator(seed, 0, 0), **options)
    if episode is None:
        return
    for label, word in enumerate(episode.words.tolist()):
        seen = []
        for part, homes, examples in (
            (past, documents[:28], episode.support),
            (batch, documents[28:], episode.query),
        ):
            mine = examples.labels == label
            rows, ends = examples.rows[mine], examples.positions[mine] + 1
            assert (part[rows, ends] == word).all()
            assert torch.equal(homes[rows, ends], examples.documents[mine])
            seen.append(
                (
                    {tuple(part[r, e - 4 : e].tolist()) for r, e in zip(rows, ends, strict=True)},
                    set(examples.documents[mine].tolist()),
                )
            )
        assert not seen[0][0] & seen[1][0]
        assert not seen[0][1] & seen[1][1]


def one_word_a_row(documents: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that hold each of the words 1 to 4 once, with a text of their own around it."""
    rows = len(documents)
    ids = torch.arange(5, 5 + rows * LENGTH).view(rows, LENGTH).clone()
    for word in range(1, 5):
        ids[:, 10 * word] = word
    return ids, torch.tensor(documents)[:, None].expand(rows, LENGTH)


@pytest.mark.parametrize(
    ("documents", "shots", "queries", "words"),
    [
        ([0, 0, 0, 0, 1], 4, 1, 4),
        ([0, 0, 0, 1, 1, 1], 4, 1, 0),  # neither leaves four
        ([0, 0, 0, 1, 1, 1], 3, 3, 4),
        ([0, 1, 2, 3, 4], 4, 1, 4),
        ([0, 1, 2, 3], 4, 1, 0),
        ([0, 0, 1, 1, 2, 2, 2, 2], 5, 1, 4),
        ([0, 0, 0, 0, 0, 0, 0, 1], 7, 1, 4),
        ([0, 0, 0, 0, 0, 0, 0, 1], 6, 2, 0),
    ],
)
def test_a_word_is_a_class_where_its_documents_can_be_divided(documents, shots, queries, words):
    ids, numbers_ = one_word_a_row(documents)
    options = {"documents": numbers_, "window": 6, "max_frequency": 1.0}
    assert count_words(ids, MASK, shots, queries, **options) == words
    for seed in range(5):
        episode = sample_episode(ids, MASK, 4, shots, queries, episode_generator(seed, 0, 0), **options)
        assert (episode is None) == (words == 0)
        if episode is not None:
            check_apart(episode, ids, numbers_, 6, "mask")


def test_every_document_gives_queries_in_proportion_to_its_places():
    ids, documents = one_word_a_row([0] * 6 + [1] * 3 + [2] * 3)
    counts = torch.zeros(3)
    for seed in range(300):
        generator = episode_generator(seed, 0, 0)
        episode = sample_episode(ids, MASK, 2, 4, 1, generator, documents=documents, window=6, max_frequency=1.0)
        counts += torch.bincount(episode.query.documents, minlength=3)
    shares = counts / counts.sum()
    assert shares[0] == pytest.approx(0.5, abs=0.08)
    assert shares[1] == pytest.approx(0.25, abs=0.07)


def test_text_of_one_document_is_drawn_at_least_two_blocks_apart():
    ids, documents = one_word_a_row([7] * 16)
    for rule in ("different", "apart"):
        options = {"documents": documents, "rule": rule, "window": 6, "max_frequency": 1.0}
        for seed in range(20):
            episode = sample_episode(ids, MASK, 4, 4, 1, episode_generator(seed, 0, 0), **options)
            rows = [
                places(ids, window, int(episode.words[label]), 5)[0][0]
                for examples in (episode.support, episode.query)
                for window, label in zip(examples.ids, examples.labels, strict=True)
            ]
            support, query = torch.tensor(rows[:16]).view(4, 4), torch.tensor(rows[16:])
            assert ((support - query[:, None]).abs() >= 2).all()


def test_rows_are_documents_where_none_are_known():
    ids = text(3)
    rows = torch.arange(len(ids))[:, None].expand_as(ids)
    one, two = (
        sample_episode(ids, MASK, 3, 2, 1, episode_generator(0, 0, 0), documents=d, window=5, max_frequency=1.0)
        for d in (None, rows)
    )
    assert torch.equal(one.support.ids, two.support.ids)
    assert torch.equal(one.query.documents, two.query.documents)


def test_any_document_may_give_both_sets():
    ids, documents = one_word_a_row([0, 0, 0, 1, 1])
    options = {"documents": documents, "rule": "any", "window": 6, "max_frequency": 1.0}
    assert count_words(ids, MASK, 4, 1, **options) == 4
    episode = sample_episode(ids, MASK, 4, 4, 1, episode_generator(0, 0, 0), **options)
    shared = episode.support.documents.view(4, 4) == episode.query.documents[:, None]
    assert shared.any()


def test_many_support_places_in_the_documents_of_a_batch_leave_other_documents():
    """A stream takes its queries from the documents that hold the fewest support places of the word."""
    past, past_documents = one_word_a_row([0, 0, 0, 0, 1])
    batch, batch_documents = one_word_a_row([0, 1])
    batch = torch.where(batch > 4, batch + 1000, batch)
    documents = torch.cat([past_documents, batch_documents])
    for seed in range(5):
        generator = episode_generator(seed, 0, 0)
        episode = sample_stream_episode(
            past, batch, MASK, 3, 4, 1, generator, documents=documents, window=6, max_frequency=1.0
        )
        assert set(episode.query.documents.tolist()) == {1}
        assert set(episode.support.documents.tolist()) == {0}


def test_the_same_four_tokens_before_a_word_count_once():
    ids, documents = one_word_a_row([0, 1, 2, 3, 4])
    ids[1, 6:10] = ids[0, 6:10]  # before the word 1, at column 10
    options = {"window": 6, "max_frequency": 1.0}
    assert count_words(ids, MASK, 4, 1, documents=documents, **options) == 3
    assert count_words(ids, MASK, 3, 1, documents=documents, **options) == 4
    ids[1, 6] = 9999  # three are not four
    assert count_words(ids, MASK, 4, 1, documents=documents, **options) == 4
