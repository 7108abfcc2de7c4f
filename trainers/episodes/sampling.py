"""Draw SMLMT episodes: N-way K-shot tasks from unlabelled text (Bansal et al. 2020).

An episode hides each of N words in K support and Q query windows; the task is to tell which of the N words is hidden.
Sampling is a pure function of the token ids and a generator.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

import torch
from torch import Tensor

from ..checks import check_at_least, check_choice
from ..corpus.form_table import Words
from ..devices import copied
from ..errors import InputError
from .occurrences import Occurrences, find_occurrences
from .sides import RULES, AnyPlaces, PlacesApart, document_numbers, keep_apart

READOUTS = ("mask", "previous", "last")


@dataclass(frozen=True)
class Examples:
    """A support or a query set: M states to classify, each at a position of a row of text."""

    ids: Tensor  #: (R, L) token ids
    rows: Tensor  #: (M,) row of `ids` where each state is read
    positions: Tensor  #: (M,) position in that row
    labels: Tensor  #: (M,) classes in [0, N)
    documents: Tensor  #: (M,) document that each example comes from

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Examples":
        """Move the examples to a device."""
        parts = (self.ids, self.rows, self.positions, self.labels, self.documents)
        return Examples(*(copied(part, device) for part in parts))


@dataclass(frozen=True)
class Episode:
    """One task, with its examples grouped by class and the classes in random order."""

    support: Examples  #: N * K
    query: Examples  #: N * Q
    words: Tensor  #: (N,) numbers of the classes' words: token ids, or hashes of forms
    ways: int | None = None  #: how many outputs of the head are classes, the first ones; None for all

    def to(self, device: torch.device) -> Self:
        """Move the episode to a device."""
        moved = self.support.to(device), self.query.to(device), copied(self.words, device)
        return replace(self, support=moved[0], query=moved[1], words=moved[2])

    def with_shuffled_labels(self, generator: torch.Generator) -> Self:
        """Permute the labels of the query set, so that no support set tells them."""
        order = torch.randperm(len(self.query), generator=generator)
        return replace(self, query=replace(self.query, labels=self.query.labels[order]))


def episode_generator(seed: int, step: int, micro_batch: int) -> torch.Generator:
    """Return the random generator of a micro-batch, the same on every rank and after a resume."""
    digest = blake2b(f"{seed}/{step}/{micro_batch}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)


def has_episode(generator: torch.Generator, ratio: float) -> bool:
    """True if a micro-batch with this generator (see `episode_generator`) has an episode; `ratio` is the chance."""
    return bool(torch.rand((), generator=generator) < ratio)


def sample_episode(
    token_ids: Tensor,
    mask_id: int,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    *,
    words: Words | None = None,
    documents: Tensor | None = None,
    rule: str = "different",
    window: int = 32,
    readout: str = "mask",
    max_frequency: float = 0.005,
) -> Episode | None:
    """Draw an N-way K-shot episode from a pool of text; each example is a window of its own.

    A word is hidden only where its whole window lies in one row and has the word no second time.

    Args:
        token_ids: (R, T) rows of running text.
        mask_id: the token that hides the word.
        ways: N, classes.
        shots: K, support windows of a class.
        queries: Q, query windows of a class.
        generator: a CPU generator; the same state gives the same episode.
        words: the words that may be hidden; None for all token ids but the mask.
        documents: (R, T) number of each token's document; None if each row is a document of its own.
        rule: `different`: a window lies in one document, support and query windows of a class lie in different ones,
            and the four tokens before a word are never the same in two windows of its class. `apart`: the same for
            pieces of three rows, with a row dropped between two pieces; `different` does so where all is one
            document. `any`: documents do not matter.
        window: L, tokens in a window.
        readout: the state that is classified: `mask` of the mask in the word's place, with the window to its left
            (the paper's); `previous` of the token before the word, without a mask; `last` of the window's last
            token, with the masked word, of one token, in the middle.
        max_frequency: words that make up a larger share of the pool (function words) are never a class.

    Returns:
        The episode on the CPU, or None if fewer than `ways` words occur often enough.

    Raises:
        InputError: a count below its minimum, an unknown readout or rule, or a window that does not fit a row.
    """
    _check(ways, shots, queries, window, readout, rule, token_ids.shape[1])
    token_ids, numbers = token_ids.cpu().long(), document_numbers(documents, token_ids.shape, rule)
    pool = _find(token_ids, numbers, mask_id, shots + queries, words, window, readout, rule, max_frequency)
    classes = _draw_classes(pool.enough(shots, queries), ways, generator)
    if classes is None:
        return None
    support, query = pool.draw(classes, shots, queries, generator)
    return Episode(
        _windows(token_ids, support, numbers, mask_id, window, readout),
        _windows(token_ids, query, numbers, mask_id, window, readout),
        pool.places.numbers[classes],
    )


def sample_stream_episode(
    past_ids: Tensor,
    batch_ids: Tensor,
    mask_id: int,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
    *,
    words: Words | None = None,
    documents: Tensor | None = None,
    rule: str = "different",
    window: int = 32,
    max_frequency: float = 0.005,
) -> Episode | None:
    """Draw an episode that classifies states of next-token passes: those of the tokens before the hidden words.

    Query examples lie in the current batch, support examples in earlier ones. A state has seen its row up to there,
    so a word is a candidate only at its first place in a row.

    Args:
        past_ids: (R, T) rows of earlier batches.
        batch_ids: (B, T) rows of the current batch.
        documents: (R + B, T) number of each token's document, in earlier and current batches.
        window: L, tokens of left context that a word needs, and that `rule` compares.
        Others: see `sample_episode`.

    Returns:
        The episode on the CPU, with `past_ids` and `batch_ids`, unmasked, as its `ids`; None if fewer than `ways`
        words occur often enough in both.
    """
    _check(ways, shots, queries, window, "previous", rule, batch_ids.shape[1])
    past_ids, batch_ids = past_ids.cpu().long(), batch_ids.cpu().long()
    both, border = torch.cat([past_ids, batch_ids]), past_ids.numel()
    numbers = document_numbers(documents, both.shape, rule)
    places = find_occurrences(
        both,
        shots + queries,
        -window,
        window,
        mask_id=mask_id,
        words=words,
        max_frequency=max_frequency,
        first_in_row=True,
    )
    pool = _pool(places, both, numbers, -window, window, rule, border)
    classes = _draw_classes(pool.enough(shots, queries), ways, generator)
    if classes is None:
        return None
    support, query = pool.draw(classes, shots, queries, generator)
    return Episode(
        _states(past_ids, support - 1, numbers[: len(past_ids)]),
        _states(batch_ids, query - 1 - border, numbers[len(past_ids) :]),
        places.numbers[classes],
    )


def count_words(
    token_ids: Tensor,
    mask_id: int,
    shots: int,
    queries: int,
    *,
    words: Words | None = None,
    documents: Tensor | None = None,
    rule: str = "different",
    window: int = 32,
    readout: str = "mask",
    max_frequency: float = 0.005,
) -> int:
    """Count the words in a pool of text that could be classes of `sample_episode`."""
    _check(2, shots, queries, window, readout, rule, token_ids.shape[1])
    token_ids, numbers = token_ids.cpu().long(), document_numbers(documents, token_ids.shape, rule)
    pool = _find(token_ids, numbers, mask_id, shots + queries, words, window, readout, rule, max_frequency)
    return int(pool.enough(shots, queries).sum())


def _check(ways: int, shots: int, queries: int, window: int, readout: str, rule: str, length: int) -> None:
    check_at_least(2, n_way=ways)
    check_at_least(1, k_shot=shots, n_query=queries)
    check_choice("readout", readout, READOUTS)
    check_choice("episode_documents", rule, RULES)
    if not 2 <= window < length:
        raise InputError(f"episode_window must be at least 2 and shorter than a block of {length}, got {window}")


def _find(
    token_ids: Tensor,
    numbers: Tensor,
    mask_id: int,
    least: int,
    words: Words | None,
    window: int,
    readout: str,
    rule: str,
    max_frequency: float,
) -> AnyPlaces | PlacesApart:
    start = _window_start(window, readout)
    places = find_occurrences(
        token_ids, least, start, window, mask_id=mask_id, words=words, max_frequency=max_frequency
    )
    return _pool(places, token_ids, numbers, start, window, rule, None)


def _pool(
    places: Occurrences, token_ids: Tensor, numbers: Tensor, start: int, window: int, rule: str, border: int | None
) -> AnyPlaces | PlacesApart:
    if rule == "any":
        return AnyPlaces(places, border)
    return keep_apart(places, token_ids, numbers, start, window, border)


def _window_start(window: int, readout: str) -> int:
    """Return the start of a hidden word's window relative to the word."""
    return {"mask": 1 - window, "previous": -window, "last": -(window // 2)}[readout]


def _draw_classes(often: Tensor, ways: int, generator: torch.Generator) -> Tensor | None:
    candidates = torch.nonzero(often).flatten()
    if len(candidates) < ways:
        return None
    return candidates[torch.randperm(len(candidates), generator=generator)[:ways]]


def _windows(
    token_ids: Tensor, hidden: Tensor, documents: Tensor, mask_id: int, window: int, readout: str
) -> Examples:
    """Return the examples of hidden words at flat positions (N, K), each in a window of its own."""
    start = _window_start(window, readout)
    places = (hidden + start).reshape(-1, 1) + torch.arange(window)
    ids = token_ids.reshape(-1)[places]  # (N * K, L)
    if readout != "previous":
        ids[:, -start] = mask_id
    rows = torch.arange(len(ids))
    numbers = documents.reshape(-1)[hidden.reshape(-1)]
    return Examples(ids, rows, torch.full_like(rows, window - 1), _labels(hidden), numbers)


def _states(token_ids: Tensor, read: Tensor, documents: Tensor) -> Examples:
    """Return the examples of states at flat positions (N, K) of running text."""
    flat, length = read.reshape(-1), token_ids.shape[1]
    return Examples(token_ids, flat // length, flat % length, _labels(read), documents.reshape(-1)[flat])


def _labels(places: Tensor) -> Tensor:
    return torch.arange(len(places)).repeat_interleave(places.shape[1])
